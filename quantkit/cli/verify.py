"""quantkit verify: a published artifact, hashed again."""

import click

from quantkit.cli import options, registry_options, show


@click.command("verify")
@click.argument("reference", metavar="REF|PATH", type=options.ARTIFACT)
@registry_options.asked_options
@registry_options.at_options
@options.json_option
def command(*, reference: str, asked: registry_options.Asked, at: registry_options.At, as_json: bool) -> int:
    """Hash a published artifact again and read its evidence.

    REF is name:version in the registry, oci://host/path/name:version, or hf://owner/name[:revision]; a path is a
    folder that was pulled, or the version's own. Every file is hashed, reports included; the seal of the
    manifest, the gate's verdict, and what is asked for with --digest and --require-signer are checked.
    """
    from quantkit.registry import verify_artifact

    expected, path = asked.expected(), registry_options.folder_of(reference)
    if path.is_dir():
        found = verify_artifact(path, expected, policy=at.of_copy())
    else:
        registry, within = at.find(reference)
        found = registry.verify(within, expected)
    if as_json:
        show.print_json(found.as_json())
    else:
        rows = [(finding.name, finding.finding, f"{finding.size:,}") for finding in found.files]
        show.print_table(found.path, ("file", "bytes are", "size"), rows, right=(2,))
        facts = [
            ("release", found.release or "not named"),
            ("digest", found.artifact),
            ("gate", found.verdict or "not read"),
            ("signature", found.signature),
            ("state", "verified" if found.verified else "NOT verified"),
        ]
        show.print_facts("", facts)
    if found.problem:
        from quantkit.errors import ArtifactError, PublishRefused

        raise (PublishRefused if found.refused else ArtifactError)(found.problem)
    return found.exit_code
