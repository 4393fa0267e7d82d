"""quantkit publish: a gated artifact goes to the registry."""

from pathlib import Path

import click

from quantkit.cli import options, show


@click.command("publish")
@click.argument("artifact", type=options.ARTIFACT)
@click.argument("registry_folder", metavar="[REGISTRY]", required=False, type=options.FOLDER)
@options.settings("PublishSettings", only=("name", "version"))
@options.registry_option
@click.option(
    "--override",
    metavar="REASON",
    help="Pass over the registry's policy, where it allows that; the reason is published.",
)
@options.json_option
def command(
    *,
    artifact: str,
    registry_folder: Path | None,
    given: options.Given,
    registry: Path,
    override: str | None,
    as_json: bool,
) -> None:
    """Publish an artifact that passed its gate.

    Refused (exit code 3) without a passing gate report for exactly these bytes, judged again from its evidence, or
    below the floors of the registry's policy.yaml (`quantkit policy` prints them). Publishing the same bytes under
    the same version again is done already, and says so.
    """
    from quantkit.artifact import Artifact
    from quantkit.recipe.settings import PublishSettings
    from quantkit.registry.policy import RegistryPolicy
    from quantkit.stages.publish import already_published, publish

    settings = given.build(PublishSettings, under={"registry": str(registry_folder or registry)})
    opened = Artifact.open(artifact)
    before = already_published(opened, settings=settings)
    policy = RegistryPolicy.of(Path(settings.registry))
    place = publish(opened, settings=settings, override=override)
    if as_json:
        show.print_json(
            {
                "schema": "quantkit/publication/1",
                "reference": f"{settings.name}:{settings.version}",
                "registry": settings.registry,
                "path": str(place),
                "artifact": opened.digest,
                "already_published": before,
                "policy": policy.as_json(),
                "override": override,
            }
        )
        return
    show.print_facts(
        "",
        [
            ("published", f"{settings.name}:{settings.version}" + (" (already)" if before else "")),
            ("digest", opened.digest),
            ("path", str(place)),
            ("policy", policy.said()),
        ],
    )
