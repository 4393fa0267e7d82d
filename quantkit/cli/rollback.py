"""quantkit rollback: a channel goes back to the version before."""

import click

from quantkit.cli import options, registry_options, show


@click.command("rollback")
@click.argument("channel", metavar="NAME:CHANNEL")
@registry_options.registry_option
@registry_options.insecure_option
@options.json_option
def command(*, channel: str, registry: str, insecure: bool, as_json: bool) -> None:
    """Let a channel point to the version before again.

    The step is kept in the channel's history.
    """
    from quantkit.registry.channels import rollback
    from quantkit.registry.opening import find_registry

    place, within = find_registry(channel, registry, insecure=insecure)
    show.print_moved(rollback(place, within), as_json=as_json)
