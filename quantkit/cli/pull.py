"""quantkit pull: a published artifact, copied out and verified."""

import click

from quantkit.cli import options, registry_options, show


@click.command("pull")
@click.argument("reference", metavar="REF|PATH", type=options.ARTIFACT)
@registry_options.asked_options
@registry_options.at_options
@options.output_options
def command(
    *, reference: str, asked: registry_options.Asked, at: registry_options.At, output: options.Output
) -> None:
    """Copy a published artifact out of a registry.

    REF is name:version, name:channel, oci://host/path/name:version, or hf://owner/name[:revision]. The copy
    is hashed, its evidence read, and its digest and signature checked when asked for, before it appears.
    """
    from quantkit.registry import pull_folder

    expected, path = asked.expected(), registry_options.folder_of(reference)
    if path.is_dir():
        artifact = pull_folder(path, output.path, force=output.force, expected=expected, policy=at.of_copy())
    else:
        registry, within = at.find(reference)
        artifact = registry.pull(within, output.path, force=output.force, expected=expected)
    show.print_artifact(artifact, as_json=output.as_json)
    if not output.as_json:
        signer = asked.require_signer
        signed = [] if signer is None else [("signature", f"valid, of {signer}")]
        show.print_facts("", [("state", "verified: bytes, release and gate"), *signed])
