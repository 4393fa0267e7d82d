"""A published folder, uploaded to the Hub."""

from dataclasses import dataclass
from pathlib import Path

from quantkit.artifact.artifact import CALIBRATION, COMPANIONS, EXTERNAL_DATA, MODEL
from quantkit.artifact.hub_files import HUB_FILES, RESULTS
from quantkit.artifact.manifest import NAME as MANIFEST
from quantkit.artifact.manifest import REPORTS, SIGNATURE, Manifest
from quantkit.errors import RegistryError
from quantkit.registry.hub.client import asking
from quantkit.registry.hub.location import HubLocation
from quantkit.registry.policy import RegistryPolicy
from quantkit.registry.verification import verify_artifact

# What a former release left there is replaced or goes; a licence stays, and of anything else we say that it is there.
_OURS = {MODEL, EXTERNAL_DATA, CALIBRATION, MANIFEST, SIGNATURE, RESULTS, *COMPANIONS}


@dataclass(frozen=True, kw_only=True, slots=True)
class Pushed:
    """What the Hub answered: the commit, and where it is shown."""

    commit: str
    url: str


def push(folder: Path, location: HubLocation, *, policy: RegistryPolicy | None = None) -> Pushed:
    """Upload a published folder that verifies, in one commit. A repository that is not there is made, a private one.

    Args:
        folder: published with the layout `hub`.
        location: the repository, and a branch, which is made when it is not there.
        policy: of the registry that the folder is in; None: the one that let it in.

    Raises:
        RegistryError: the folder does not verify, the revision is a commit, the repository holds what no release
            lists, or the Hub refuses.
        ArtifactError: the folder's manifest was changed.
        UsageError: `huggingface_hub` is not installed.
    """
    location.require_branch()
    found = verify_artifact(folder, policy=policy)
    if found.problem:
        raise RegistryError(f"{found.problem}; nothing was uploaded")
    manifest = Manifest.read(folder)
    with asking(location) as library:
        hub = library.HfApi()
        hub.create_repo(location.repository, repo_type="model", private=True, exist_ok=True)
        if location.revision and location.revision != "main":
            hub.create_branch(location.repository, branch=location.revision, exist_ok=True)
        there = set(hub.list_repo_files(location.repository, revision=location.revision))
        new = {finding.name for finding in found.files} | {SIGNATURE}
        former = {name for name in there - new if name in _OURS or name.startswith(f"{REPORTS}/")}
        foreign = sorted(there - new - former - set(HUB_FILES))
        if foreign:
            raise RegistryError(
                f"{location}: holds {foreign[0]}, which the release does not list, so nobody could verify it there; "
                "remove it, or give another repository or branch"
            )
        answer = hub.upload_folder(
            repo_id=location.repository,
            repo_type="model",
            folder_path=folder,
            revision=location.revision,
            delete_patterns=sorted(former) or None,
            commit_message=f"{found.release}: artifact {manifest.digest}",
        )
    return Pushed(commit=str(answer.oid), url=str(answer.commit_url))
