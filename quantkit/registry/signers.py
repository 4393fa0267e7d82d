"""Who may sign in a registry: public keys, or root certificates with the name that a certificate must be for.

`policy.yaml` lists them, as files beside it or as PEM in the text itself. A policy that was read has the PEM of every
one, so that it says the same wherever it is kept: in a published artifact there is no file beside it.
"""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from quantkit.errors import RegistryError
from quantkit.recipe.fields import Section

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s[A-Za-z0-9+/=\s]+-----END \1-----")
_KEY, _CERTIFICATE = "PUBLIC KEY", "CERTIFICATE"
_LIMIT = 1 << 16  # bytes; a certificate has some thousand


class TrustedSigner(Section):
    """One key that may sign, or one root whose certificates may."""

    pem: str = Field(description="public key (EC) or root certificate: a file beside policy.yaml, or its PEM")
    identity: str | None = Field(
        default=None,
        min_length=1,
        description="common name, e-mail, host or URI that the signer's certificate must be for; null: any",
    )

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, values: Any) -> Any:
        """Read a plain text as its PEM."""
        return {"pem": values} if isinstance(values, str) else values

    @field_validator("pem")
    @classmethod
    def _one_block(cls, text: str) -> str:
        """Keep the one block of PEM, without what stands around it."""
        blocks = [block for block in _BLOCK.finditer(text) if block[1] in (_KEY, _CERTIFICATE)]
        if len(blocks) != 1:
            raise ValueError(f"holds {len(blocks)} public keys and certificates in PEM; name one")
        return blocks[0][0].replace("\r\n", "\n") + "\n"

    @model_validator(mode="after")
    def _identity_of_certificate(self) -> "TrustedSigner":
        if self.identity is not None and not self.is_certificate:
            raise ValueError("an identity belongs to a root certificate, and this is a public key")
        return self

    @property
    def is_certificate(self) -> bool:
        """Whether it is a root certificate, and no key."""
        return _CERTIFICATE in self.pem.splitlines()[0]

    @property
    def fingerprint(self) -> str:
        """sha256 of the key or certificate in DER, as `openssl … -outform der | sha256sum` prints it."""
        return hashlib.sha256(base64.b64decode("".join(self.pem.splitlines()[1:-1]))).hexdigest()

    def __str__(self) -> str:
        if not self.is_certificate:
            return f"key {self.fingerprint[:12]}"
        return f"{self.identity or 'anybody'} by certificate {self.fingerprint[:12]}"


def with_files_read(signers: object, folder: Path, place: str) -> object:
    """Return the value of `signers` in a policy.yaml with every file that it names read; what is no list as it is.

    Args:
        signers: as it was written.
        folder: of the policy.yaml.
        place: what messages name.

    Raises:
        RegistryError: a file is missing, too large, or no text.
    """
    if not isinstance(signers, list):
        return signers
    return [_read(entry, folder, f"{place}.{number}") for number, entry in enumerate(signers)]


def _read(entry: object, folder: Path, place: str) -> object:
    if isinstance(entry, dict):
        return {**entry, "pem": _read(entry["pem"], folder, place)} if "pem" in entry else entry
    if not isinstance(entry, str):
        return entry
    text = entry if entry.lstrip().startswith("-----BEGIN") else _text(entry, folder, place)
    if "PRIVATE KEY" in text:  # said here, and without any of its text
        raise RegistryError(f"{place}: is a private key; keep it secret, and name the public one")
    return text


def _text(entry: str, folder: Path, place: str) -> str:
    try:
        path = folder / entry
        if not path.is_file():
            raise RegistryError(
                f"{place}: {entry!r}: no such file; name a public key or root certificate in PEM, beside policy.yaml"
            )
        with path.open("rb") as stream:
            return stream.read(_LIMIT).decode("ascii", "replace")
    except (OSError, ValueError) as error:
        raise RegistryError(f"{place}: {entry!r}: cannot be read ({error}); name a key in PEM") from None
