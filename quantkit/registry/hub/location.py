"""`hf://owner/name[:revision]`: a model repository on the Hugging Face Hub."""

import re
from dataclasses import dataclass

from quantkit.errors import RegistryError

SCHEME = "hf://"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_LOCATION = re.compile(rf"{SCHEME}({_PART}/{_PART})(?::([A-Za-z0-9][A-Za-z0-9._/-]*))?")


@dataclass(frozen=True, kw_only=True, slots=True)
class HubLocation:
    """A repository, and the branch, tag or commit that is meant; None: its main branch."""

    repository: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> "HubLocation":
        """Read `hf://owner/name[:revision]`.

        Raises:
            RegistryError: it is not of that form.
        """
        match = _LOCATION.fullmatch(text)
        if match is None or ".." in text or "--" in text:
            raise RegistryError(
                f"{text}: is no model of the Hub; give hf://owner/name or hf://owner/name:revision"
            )
        return cls(repository=match[1], revision=match[2])

    def require_branch(self) -> None:
        """Check that something can be uploaded there.

        Raises:
            RegistryError: the revision is a commit.
        """
        if self.revision and _COMMIT.fullmatch(self.revision):
            raise RegistryError(f"{self}: is a commit, which never changes; give a branch")

    def __str__(self) -> str:
        return f"{SCHEME}{self.repository}" + (f":{self.revision}" if self.revision else "")
