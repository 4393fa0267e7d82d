"""publish: a gated artifact → the registry."""

from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.artifact.hub_files import CARD, hub_files
from quantkit.errors import RegistryError
from quantkit.recipe.settings import PublishSettings
from quantkit.registry.evidence import require_evidence
from quantkit.registry.opening import open_registry
from quantkit.registry.protocol import Pinned, Registry
from quantkit.registry.signing import Signer


def publish(
    artifact: Artifact,
    *,
    settings: PublishSettings,
    signer: Signer | None = None,
    override: str | None = None,
) -> Path | Pinned:
    """Publish an artifact that passed its gate and return its folder, or its reference in an OCI registry.

    Publishing the same bytes under the same name and version again is done already: what is published is verified
    and returned.

    Args:
        artifact: with its evidence.
        settings: where to, and under which name and version.
        signer: signs what is published; None: nobody.
        override: the reason to pass over the registry's policy, where the policy allows that.

    Raises:
        PublishRefused: there is no passing gate report for exactly these bytes, or the policy is not met.
        RegistryError: the version exists with other bytes, or without the signature that is asked for; the report is
            of another artifact; or the registry fails.
        ArtifactError: a byte is not what the manifest says.
        OutputError: the registry cannot be written.
        UsageError: the key cannot sign, or the layout is `hub` and `huggingface_hub` is not installed.
    """
    if signer is not None:
        signer.check()
    registry, reference = _open(settings)
    place = registry.holds(artifact, reference)
    if place is None:
        return registry.publish(
            artifact, name=settings.name, version=settings.version, signer=signer, override=override
        )
    require_evidence(artifact.opened_again())
    if settings.layout == "hub" and isinstance(place, Path) and CARD not in hub_files(place):
        raise RegistryError(
            f"{registry}: {reference} is published without the Hub's files and is never overwritten; "
            "publish another version"
        )
    if signer is not None and not _is_signed(registry, settings):
        raise RegistryError(
            f"{registry}: {reference} is published without a signature and is never overwritten; "
            "publish and sign another version"
        )
    if registry.policy().signers and (problem := registry.verify(reference).problem):
        raise RegistryError(problem)
    return place


def already_published(artifact: Artifact, *, settings: PublishSettings) -> bool:
    """Return whether this name and version holds exactly these bytes, verified.

    Raises:
        ArtifactError: the published manifest was changed.
        RegistryError: name or version is no word, or the registry fails.
    """
    registry, reference = _open(settings)
    return registry.holds(artifact, reference) is not None


def _open(settings: PublishSettings) -> tuple[Registry, str]:
    registry = open_registry(
        settings.registry,
        insecure=settings.insecure,
        layout=settings.layout,
        policy=Path(settings.policy) if settings.policy else None,
    )
    return registry, f"{settings.name}:{settings.version}"


def _is_signed(registry: Registry, settings: PublishSettings) -> bool:
    releases = registry.releases(settings.name)
    return any(release.signed for release in releases if release.version == settings.version)
