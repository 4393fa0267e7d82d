"""quantkit promote: a channel moves forwards to a published version."""

import click

from quantkit.cli import options, registry_options, show


@click.command("promote")
@click.argument("reference", metavar="REF")
@click.argument("channel")
@registry_options.signing_options
@registry_options.at_options
@options.json_option
def command(
    *, reference: str, channel: str, signing: registry_options.Signing, at: registry_options.At, as_json: bool
) -> None:
    """Let a channel point to a newer version.

    REF is name:version, or name:channel of another channel. The version is verified first. A channel only moves
    to a version that was published later; `quantkit rollback` is the way back.
    """
    from quantkit.registry.channels import promote

    registry, within = at.find(reference)
    show.print_moved(promote(registry, within, channel, signer=signing.signer()), as_json=as_json)
