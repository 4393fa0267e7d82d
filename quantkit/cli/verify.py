"""quantkit verify: a published artifact, hashed again."""

from pathlib import Path

import click

from quantkit.cli import options, registry_options, show


@click.command("verify")
@click.argument("reference", metavar="REF|PATH")
@registry_options.digest_option
@registry_options.require_signer_option
@registry_options.registry_option
@registry_options.insecure_option
@options.json_option
def command(
    *,
    reference: str,
    digest: str | None,
    require_signer: Path | None,
    registry: str,
    insecure: bool,
    as_json: bool,
) -> int:
    """Hash a published artifact again and read its evidence.

    REF is name:version in the registry, or oci://host/path/name:version; a path is a folder that was pulled,
    or the version's own. Every file is hashed, reports included; the seal of the manifest, the gate's verdict,
    and what is asked for with --digest and --require-signer are checked.
    """
    from quantkit.registry import verify_artifact
    from quantkit.registry.expected import Expected
    from quantkit.registry.opening import find_registry

    expected = Expected.parse(digest=digest, signer=require_signer)
    if registry_options.is_folder(reference):
        found = verify_artifact(Path(reference), expected)
    else:
        place, within = find_registry(reference, registry, insecure=insecure)
        found = place.verify(within, expected)
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
        from quantkit.errors import ArtifactError

        raise ArtifactError(found.problem)
    return found.exit_code
