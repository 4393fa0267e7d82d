"""quantkit rollback: a channel goes back to the version before."""

import click

from quantkit.cli import options, registry_options, show


@click.command("rollback")
@click.argument("channel", metavar="NAME:CHANNEL")
@registry_options.signing_options
@registry_options.at_options
@options.json_option
def command(
    *, channel: str, signing: registry_options.Signing, at: registry_options.At, as_json: bool
) -> None:
    """Let a channel point to the version before again.

    The step is kept in the channel's history.
    """
    from quantkit.registry.channels import rollback

    registry, within = at.find(channel)
    show.print_moved(rollback(registry, within, signer=signing.signer()), as_json=as_json)
