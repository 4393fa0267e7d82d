"""What OCI's distribution protocol offers: manifests by tag or digest, blobs by digest, lists of tags."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import requests

from quantkit.errors import RegistryError
from quantkit.files import sha256_bytes
from quantkit.registry.oci.location import DIGEST, TAG
from quantkit.registry.oci.transport import Transient, Transport
from quantkit.strict_json import parse_json

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
MANIFEST_LIMIT = 4 << 20  # bytes; what registries accept at most
_LIST_LIMIT = 1000  # pages
_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Blob:
    """Content by its digest.

    Attributes:
        digest: `sha256:` and 64 hexadecimal digits.
        size: in bytes.
    """

    digest: str
    size: int

    @classmethod
    def of(cls, content: bytes) -> "Blob":
        """Return the blob that these bytes are."""
        return cls(digest=f"sha256:{sha256_bytes(content)}", size=len(content))


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """One registry's API; errors are one line, and what can be tried again is."""

    transport: Transport

    def manifest(self, repository: str, reference: str) -> bytes | None:
        """Return a manifest by tag or digest, or None when there is none; its bytes are those of the digest.

        Raises:
            RegistryError: the registry fails, or gives other bytes than were asked for.
        """

        def ask() -> bytes | None:
            path = f"{repository}/manifests/{reference}"
            answer = self.transport.send(
                "GET", path, expect=(200, 404), headers={"Accept": MANIFEST_TYPE}, stream=True
            )
            if answer.status_code == 404:
                answer.close()
                return None
            content = self.transport.read(answer, MANIFEST_LIMIT)
            if DIGEST.fullmatch(reference) and Blob.of(content).digest != reference:
                raise RegistryError(
                    f"{self.transport.location}: gives other bytes for {reference}; do not use it"
                )
            return content

        return self.transport.persistently(ask)

    def put_manifest(self, repository: str, reference: str, content: bytes) -> None:
        """Store a manifest under a tag, which may have pointed elsewhere.

        Raises:
            RegistryError: the registry refuses.
        """
        self.transport.persistently(
            lambda: self.transport.send(
                "PUT",
                f"{repository}/manifests/{reference}",
                expect=(200, 201, 202),
                headers={"Content-Type": MANIFEST_TYPE},
                data=content,
            )
        )

    def delete_manifest(self, repository: str, digest: str) -> None:
        """Delete a manifest with all its tags.

        Raises:
            RegistryError: the registry does not allow it.
        """
        self.transport.persistently(
            lambda: self.transport.send("DELETE", f"{repository}/manifests/{digest}", expect=(200, 202, 404))
        )

    def has_blob(self, repository: str, digest: str) -> bool:
        """Return whether a blob is there already.

        Raises:
            RegistryError: the registry fails.
        """

        def ask() -> bool:
            answer = self.transport.send("HEAD", f"{repository}/blobs/{digest}", expect=(200, 404))
            return answer.status_code == 200

        return self.transport.persistently(ask)

    def push_blob(
        self, repository: str, blob: Blob, source: Path | bytes, advance: Callable[[int], None]
    ) -> None:
        """Store a blob unless it is there; what was cut off is begun anew.

        Args:
            repository: where to.
            blob: its digest and size.
            source: a file, or the bytes themselves.
            advance: called with the number of bytes just sent.

        Raises:
            RegistryError: the registry refuses, or the file is no longer what it was.
        """
        if self.has_blob(repository, blob.digest):
            advance(blob.size)
            return

        def send() -> None:
            opened = self.transport.send("POST", f"{repository}/blobs/uploads/", expect=(202,), data=b"")
            address = urljoin(opened.url, opened.headers.get("Location", ""))
            if urlsplit(address).scheme != urlsplit(opened.url).scheme:
                raise RegistryError(
                    f"{self.transport.location}: sends the upload to {address}; do not use it"
                )
            address += ("&" if "?" in address else "?") + urlencode({"digest": blob.digest})
            with _Body(source, blob, advance) as body:
                self.transport.send(
                    "PUT",
                    address,
                    expect=(201, 204),
                    headers={"Content-Type": "application/octet-stream"},
                    data=body,
                )
                body.require_whole()

        self.transport.persistently(send)

    def fetch_blob(self, repository: str, blob: Blob, target: Path, advance: Callable[[int], None]) -> None:
        """Read a blob into a new file, hashed on the way; a cut is taken up where it happened.

        Raises:
            RegistryError: there is no such blob, or its bytes are others.
            OSError: the file cannot be written.
        """
        done = 0
        digest = hashlib.sha256()
        with target.open("xb") as stream:

            def fetch() -> None:
                nonlocal done, digest
                headers = {"Range": f"bytes={done}-"} if done else {}
                answer = self.transport.send(
                    "GET",
                    f"{repository}/blobs/{blob.digest}",
                    expect=(200, 206, 404),
                    headers=headers,
                    stream=True,
                )
                if answer.status_code == 404:
                    answer.close()
                    raise RegistryError(
                        f"{self.transport.location}: has lost {blob.digest} of {repository}; publish it again"
                    )
                if done and not _continues(answer, done):
                    advance(-done)
                    done, digest = 0, hashlib.sha256()
                    stream.seek(0)
                    stream.truncate()
                for chunk in self.transport.chunks(answer):
                    if done + len(chunk) > blob.size:
                        raise RegistryError(
                            f"{self.transport.location}: gives more bytes for {blob.digest} than its manifest says; "
                            "do not use it"
                        )
                    stream.write(chunk)
                    digest.update(chunk)
                    done += len(chunk)
                    advance(len(chunk))
                if done < blob.size:
                    raise Transient(f"{done:,} of {blob.size:,} bytes of {blob.digest[:19]} came")

            self.transport.persistently(fetch)
            if f"sha256:{digest.hexdigest()}" != blob.digest:
                raise RegistryError(
                    f"{self.transport.location}: gives other bytes for {blob.digest}; do not use it"
                )
            stream.flush()
            os.fsync(stream.fileno())

    def blob(self, repository: str, blob: Blob) -> bytes:
        """Return a small blob.

        Raises:
            RegistryError: there is none, or its bytes are others.
        """

        def ask() -> bytes:
            answer = self.transport.send(
                "GET", f"{repository}/blobs/{blob.digest}", expect=(200,), stream=True
            )
            return self.transport.read(answer, blob.size)

        content = self.transport.persistently(ask)
        if Blob.of(content) != blob:
            raise RegistryError(
                f"{self.transport.location}: gives other bytes for {blob.digest}; do not use it"
            )
        return content

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository; none where there is no such repository.

        Raises:
            RegistryError: the registry fails.
        """
        return [tag for tag in self._pages(f"{repository}/tags/list", "tags") if TAG.fullmatch(tag)]

    def repositories(self) -> list[str]:
        """Return the repositories of the registry, where it tells.

        Raises:
            RegistryError: it does not tell.
        """
        return list(self._pages("_catalog", "repositories"))

    def _pages(self, path: str, key: str) -> Iterator[str]:
        address: str | None = f"{path}?n=1000"
        for _ in range(_LIST_LIMIT):
            if address is None:
                return
            page, address = self._page(address, key)
            yield from page

    def _page(self, address: str, key: str) -> tuple[list[str], str | None]:
        def ask() -> requests.Response:
            return self.transport.send(
                "GET", address, expect=(200, 404), headers={"Accept": "application/json"}
            )

        answer = self.transport.persistently(ask)
        if answer.status_code == 404:
            return [], None
        try:
            content: Any = parse_json(answer.content)
            found = [str(entry) for entry in content[key] or ()]
        except (ValueError, KeyError, TypeError):
            raise RegistryError(
                f"{self.transport.location}: gives no list of {key}; is it a registry?"
            ) from None
        following = answer.links.get("next", {}).get("url")
        if not following:
            return found, None
        address = urljoin(answer.url, following)
        if urlsplit(address).netloc != urlsplit(answer.url).netloc:
            raise RegistryError(f"{self.transport.location}: leads its list on to {address}; do not use it")
        return found, address


class _Body:
    """The body of an upload: counted and hashed as it is read, and read again from the start when asked."""

    def __init__(self, source: Path | bytes, blob: Blob, advance: Callable[[int], None]) -> None:
        self._source, self._blob, self._advance = source, blob, advance
        self._sent = 0
        self._digest = hashlib.sha256()

    def __enter__(self) -> "_Body":
        import io

        source = self._source
        self._stream = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        self._stream.close()
        if kind is not None:
            self._advance(-self._sent)

    def __len__(self) -> int:
        return self._blob.size

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.read(_CHUNK):
            yield chunk

    def read(self, count: int = -1) -> bytes:
        chunk = self._stream.read(_CHUNK if count < 0 else count)
        self._digest.update(chunk)
        self._sent += len(chunk)
        self._advance(len(chunk))
        return chunk

    def rewind(self) -> None:
        self._advance(-self._sent)
        self._sent = 0
        self._digest = hashlib.sha256()
        self._stream.seek(0)

    def require_whole(self) -> None:
        if f"sha256:{self._digest.hexdigest()}" != self._blob.digest:
            raise RegistryError(f"{self._source!s:.200}: was changed while it was sent; publish it again")


def _continues(answer: requests.Response, done: int) -> bool:
    """Return whether an answer goes on after the bytes that are there."""
    return answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {done}-")
