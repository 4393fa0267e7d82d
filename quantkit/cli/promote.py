"""quantkit promote: a channel moves forwards to a published version."""

import click

from quantkit.cli import options, registry_options, show


@click.command("promote")
@click.argument("reference", metavar="REF")
@click.argument("channel")
@registry_options.registry_option
@registry_options.insecure_option
@options.json_option
def command(*, reference: str, channel: str, registry: str, insecure: bool, as_json: bool) -> None:
    """Let a channel point to a newer version.

    REF is name:version, or name:channel of another channel. The version is verified first. A channel only moves
    to a version that was published later; `quantkit rollback` is the way back.
    """
    from quantkit.registry.channels import promote
    from quantkit.registry.opening import find_registry

    place, within = find_registry(reference, registry, insecure=insecure)
    show.print_moved(promote(place, within, channel), as_json=as_json)
