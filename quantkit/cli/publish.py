"""quantkit publish: a gated artifact goes to the registry."""

import click

from quantkit.cli import options, registry_options, show


@click.command("publish")
@click.argument("artifact", type=options.ARTIFACT)
@click.argument("registry_place", metavar="[REGISTRY]", required=False, type=registry_options.REGISTRY)
@options.settings("PublishSettings", only=("name", "version", "layout"))
@registry_options.at_options
@registry_options.publishing_options
@options.json_option
def command(
    *,
    artifact: str,
    registry_place: str | None,
    given: options.Given,
    at: registry_options.At,
    publishing: registry_options.Publishing,
    as_json: bool,
) -> None:
    """Publish an artifact that passed its gate.

    Refused (exit code 3) without a passing gate report for exactly these bytes, judged again from its evidence, or
    below the floors of the registry's policy.yaml (`quantkit policy` prints them). Publishing the same bytes under
    the same version again is done already, and says so. REGISTRY is a folder or oci://host/path.
    --layout hub writes a model card and .eval_results into the version's folder; --push uploads that folder.
    """
    from quantkit.artifact import Artifact
    from quantkit.recipe.settings import PublishSettings
    from quantkit.registry import open_registry
    from quantkit.stages.publish import already_published, publish

    place = {
        "registry": registry_place or at.registry,
        "insecure": at.insecure,
        "policy": at.policy and str(at.policy),
    }
    settings = publishing.laid_out(given.build(PublishSettings, under=place))
    destination = publishing.destination()
    signer = publishing.signer()
    opened = Artifact.open(artifact)
    before = already_published(opened, settings=settings)
    policy = open_registry(settings.registry, insecure=settings.insecure, policy=at.policy).policy()
    published = publish(opened, settings=settings, signer=signer, override=publishing.override)
    reference = f"{settings.name}:{settings.version}"
    pushed = publishing.upload(published, destination, policy)
    if as_json:
        show.print_json(
            {
                "schema": "quantkit/publication/1",
                "reference": reference,
                "registry": settings.registry,
                "path": str(published),
                "artifact": opened.digest,
                "signed": signer is not None,
                "already_published": before,
                "policy": policy.as_json(),
                "override": publishing.override,
                "pushed": {"commit": pushed.commit, "url": pushed.url} if pushed else None,
            }
        )
        return
    facts = [
        ("published", reference + (" (already)" if before else "")),
        ("digest", opened.digest),
        ("path", str(published)),
        ("policy", policy.said()),
    ]
    if signer is not None:
        facts.append(("signed with", str(signer.key)))
    if pushed is not None:
        facts += [("pushed to", str(destination)), ("commit", pushed.commit)]
    show.print_facts("", facts)
