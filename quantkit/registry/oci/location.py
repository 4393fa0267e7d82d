"""`oci://host[:port]/prefix/name:version`: where a version is in an OCI registry."""

import ipaddress
import re
from dataclasses import dataclass

from quantkit.errors import RegistryError
from quantkit.registry.reference import Reference

SCHEME = "oci://"
_HOST = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_PREFIX = re.compile(r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*(?:/|$))*")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
# Docker Hub's API has another address than its name, and docker stores its credentials under a third.
_DOCKER_HUB = "docker.io"


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """A host and the path under which names are repositories.

    Attributes:
        host: with its port, such as `registry.example.com:5000`.
        prefix: such as `team/models`; may be empty.
    """

    host: str
    prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> "Location":
        """Read `oci://host[:port][/prefix]`.

        Raises:
            RegistryError: it is not of that form.
        """
        host, _, prefix = text.removeprefix(SCHEME).rstrip("/").partition("/")
        if not text.startswith(SCHEME) or not _HOST.fullmatch(host) or not _PREFIX.fullmatch(prefix):
            raise RegistryError(
                f"{text}: is no OCI registry; give oci://host[:port]/path, in lower-case letters, digits and . _ -"
            )
        return cls(host=host, prefix=prefix)

    def repository(self, name: str) -> str:
        """Return the repository of a name."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def place(self, reference: Reference) -> str:
        """Return the whole reference of a version."""
        return f"{SCHEME}{self.host}/{self.repository(reference.name)}:{reference.version}"

    @property
    def local(self) -> bool:
        """Whether the host is this machine, so that nobody else can read or change what is sent."""
        match = _HOST.fullmatch(self.host)
        assert match is not None, "parse checked it"
        name = match["name"].strip("[]")
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return name == "localhost"

    @property
    def api_host(self) -> str:
        """The host that answers."""
        return "registry-1.docker.io" if self.host == _DOCKER_HUB else self.host

    @property
    def login(self) -> str:
        """The name under which docker keeps the credentials."""
        return "https://index.docker.io/v1/" if self.host == _DOCKER_HUB else self.host

    def __str__(self) -> str:
        return f"{SCHEME}{self.host}/{self.prefix}" if self.prefix else f"{SCHEME}{self.host}"


def split(text: str) -> tuple[Location, str]:
    """Return the registry and `name:version[@sha256:…]` of a whole reference.

    Raises:
        RegistryError: it is not of that form.
    """
    before, _, digest = text.partition("@")
    path, slash, last = before.removeprefix(SCHEME).rpartition("/")
    if not text.startswith(SCHEME) or not slash or path.endswith("/") or ":" not in last:
        raise RegistryError(
            f"{text}: names no version; give oci://host/path/name:version, such as oci://localhost:5000/tiny:1.0.0"
        )
    return Location.parse(SCHEME + path), f"{last}@{digest}" if "@" in text else last


def parse_pinned(reference: str) -> tuple[Reference, str | None]:
    """Read `name:version[@sha256:…]`.

    Raises:
        RegistryError: it is not of that form, or the version cannot be a tag.
    """
    plain, at, digest = reference.partition("@")
    wanted = Reference.parse(plain)
    if not TAG.fullmatch(wanted.version):
        raise RegistryError(
            f"{wanted.version!r}: cannot be a version in an OCI registry; use at most 128 letters, digits, . _ -"
        )
    if at and not DIGEST.fullmatch(digest):
        raise RegistryError(f"{reference}: {digest!r} is no digest; give sha256: and 64 hexadecimal digits")
    return wanted, digest if at else None
