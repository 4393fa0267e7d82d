"""quantkit policy: the floors of a registry."""

from pathlib import Path

import click

from quantkit.cli import options, registry_options, show
from quantkit.printable import one_line


@click.command("policy")
@click.argument("registry_place", metavar="[REGISTRY]", required=False, type=registry_options.REGISTRY)
@registry_options.at_options
@options.json_option
def command(*, registry_place: str | None, at: registry_options.At, as_json: bool) -> None:
    """Print the floors that a registry holds artifacts to.

    They are those of its policy.yaml, or the defaults where it has none.
    What is printed is a policy.yaml that says the same.
    """
    from quantkit.registry import open_registry
    from quantkit.registry.policy import POLICY

    place = registry_place or at.registry
    policy = open_registry(place, insecure=at.insecure, policy=at.policy).policy()
    if as_json:
        show.print_json({"schema": "quantkit/policy/1", "registry": place, **policy.as_json()})
        return
    where = Path(place) / POLICY
    head = f"of {where}" if where.is_file() else f"the default: {place} has no {POLICY}"
    show.put(f"# {one_line(head)}\n{policy.as_yaml()}")
