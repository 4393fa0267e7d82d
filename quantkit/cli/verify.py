"""quantkit verify: a published artifact, hashed again."""

from pathlib import Path

import click

from quantkit.cli import options, show


@click.command("verify")
@click.argument("reference", metavar="REF|PATH", type=options.ARTIFACT)
@options.registry_option
@options.json_option
def command(*, reference: str, registry: Path, as_json: bool) -> int:
    """Hash a published artifact again and read its evidence.

    REF is name:version in the registry; a path is a folder that was pulled, or the version's own. Every file
    is hashed, reports included; the seal of the manifest and the gate's verdict are checked.
    """
    from quantkit.registry import DirectoryRegistry, verify_artifact

    path = Path(reference)
    found = verify_artifact(path) if path.is_dir() else DirectoryRegistry(registry).verify(reference)
    if as_json:
        show.print_json(found.as_json())
    else:
        rows = [(finding.name, finding.finding, f"{finding.size:,}") for finding in found.files]
        show.print_table(found.path, ("file", "bytes are", "size"), rows, right=(2,))
        state = "verified" if found.verified else "NOT verified"
        show.print_facts(
            "", [("digest", found.artifact), ("gate", found.verdict or "not read"), ("state", state)]
        )
    if found.problem:
        from quantkit.errors import ArtifactError

        raise ArtifactError(found.problem)
    return found.exit_code
