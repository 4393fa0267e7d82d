"""quantkit policy: the floors of a registry."""

from pathlib import Path

import click

from quantkit.cli import options, show


@click.command("policy")
@click.argument("registry_folder", metavar="[REGISTRY]", required=False, type=options.FOLDER)
@options.registry_option
@options.json_option
def command(*, registry_folder: Path | None, registry: Path, as_json: bool) -> None:
    """Print the floors that a registry holds artifacts to: its policy.yaml, or the defaults where it has none.

    What is printed is a policy.yaml that says the same.
    """
    from quantkit.registry.policy import POLICY, RegistryPolicy

    folder = registry_folder or registry
    policy = RegistryPolicy.of(folder)
    if as_json:
        show.print_json({"schema": "quantkit/policy/1", "registry": str(folder), **policy.as_json()})
        return
    where = folder / POLICY
    head = f"of {where}" if where.is_file() else f"the default: there is no {where}"
    click.echo(f"# {head}\n{policy.as_yaml()}")
