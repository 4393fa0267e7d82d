"""`name:version`, the way to say which published artifact is meant."""

import re
from dataclasses import dataclass

from quantkit.errors import RegistryError

NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
VERSION = re.compile(r"[0-9A-Za-z]+(?:[._+-][0-9A-Za-z]+)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A name and a version, or a name and a channel."""

    name: str
    version: str

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read `name:version`.

        Raises:
            RegistryError: it is not of that form.
        """
        name, colon, version = text.partition(":")
        if not colon:
            raise RegistryError(
                f"{text}: expected name:version, such as minilm-squad:1.0.0, or an artifact folder"
            )
        return cls.checked(name, version)

    @classmethod
    def checked(cls, name: str, version: str) -> "Reference":
        """Return the reference, refusing names that are not plain words (and so never a path).

        Raises:
            RegistryError: naming the part that is wrong.
        """
        if not NAME.fullmatch(name):
            raise RegistryError(
                f"{name!r}: is no name; use lower-case letters, digits and single . _ - between them"
            )
        if not VERSION.fullmatch(version):
            raise RegistryError(
                f"{version!r}: is no version; use letters, digits and single . _ + - between them"
            )
        return cls(name=name, version=version)

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


def version_order(version: str) -> list[tuple[int, int, str]]:
    """Return a sort key that puts 1.10 after 1.9."""
    parts = re.split(r"[._+-]", version)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
