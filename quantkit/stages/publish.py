"""publish: a gated artifact → the registry."""

from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.recipe.settings import PublishSettings
from quantkit.registry.directory import DirectoryRegistry
from quantkit.registry.evidence import require_evidence


def publish(artifact: Artifact, *, settings: PublishSettings, override: str | None = None) -> Path:
    """Publish an artifact that passed its gate and return its folder in the registry.

    Publishing the same bytes under the same name and version again is done already: the published folder is
    verified and returned.

    Args:
        artifact: with its evidence.
        settings: where to, and under which name and version.
        override: the reason to pass over the registry's policy, where the policy allows that.

    Raises:
        PublishRefused: there is no passing gate report for exactly these bytes, or the policy is not met.
        RegistryError: the version exists with other bytes, or the report is of another artifact.
        ArtifactError: a byte is not what the manifest says.
        OutputError: the registry cannot be written.
    """
    registry = DirectoryRegistry(Path(settings.registry))
    if already_published(artifact, settings=settings):
        require_evidence(Artifact.open(artifact.path))
        return registry.find(f"{settings.name}:{settings.version}")
    return registry.publish(artifact, name=settings.name, version=settings.version, override=override)


def already_published(artifact: Artifact, *, settings: PublishSettings) -> bool:
    """Return whether this name and version holds exactly these bytes, verified.

    Raises:
        ArtifactError: the published manifest was changed.
        RegistryError: name or version is no word.
    """
    registry = DirectoryRegistry(Path(settings.registry))
    reference = f"{settings.name}:{settings.version}"
    if registry.digest(reference) != artifact.digest:
        return False
    return registry.verify(reference).verified
