"""quantkit gc: versions that nothing refers to go."""

import click

from quantkit.cli import options, registry_options, show

_KEPT = 3


@click.command("gc")
@click.argument("name")
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=_KEPT,
    metavar="N",
    help=f"Newest versions that stay in any case.  [default: {_KEPT}]",
)
@click.option("--delete", is_flag=True, help="Delete them; without this they are only listed.")
@registry_options.at_options
@options.json_option
def command(*, name: str, keep: int, delete: bool, at: registry_options.At, as_json: bool) -> None:
    """List, or delete, versions that no channel refers to.

    What a channel points to or can be rolled back to stays, so do the newest versions, and a name without
    channels keeps all of its versions. NAME is one name, or oci://host/path/name.
    """
    from quantkit.registry.channels import unreferenced

    registry, (found,) = at.names(name)
    garbage = unreferenced(registry, found, keep=keep)
    if delete:
        for release in garbage:
            registry.remove(found, release.version)
    if as_json:
        content = [{"version": release.version, "artifact": release.artifact} for release in garbage]
        show.print_json(
            {"schema": "quantkit/garbage/1", "name": found, "versions": content, "deleted": delete}
        )
        return
    rows = [(f"{found}:{release.version}", release.artifact[:12]) for release in garbage]
    title = f"{registry}: {'deleted' if delete else 'nothing refers to; --delete deletes them'}"
    show.print_table(title, ("version", "artifact"), rows)
