"""Signing a published folder, and requiring a signature, with OpenSSF's `model-signing`.

The signature is `model.sig` at the top of the folder, in model-signing's own format (a Sigstore bundle with a DSSE
envelope over the sha256 of every file), so that `model_signing verify key` reads it too. It covers every file of
the folder but itself and those of the Hugging Face Hub: the manifest, the evidence, and `reports/release.json`, which
says for which name and version these bytes are. Two defaults of the library are turned off: it leaves out files named
`.git*`, and it can ignore files that were not signed.
"""

import base64
import contextlib
import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantkit.artifact.hub_files import HUB_FILES
from quantkit.artifact.manifest import SIGNATURE
from quantkit.errors import RegistryError, UsageError
from quantkit.files import inside, naming_output_errors
from quantkit.hub_cache import blobs_of
from quantkit.strict_json import parse_json, read_json

PASSWORD = "QUANTKIT_SIGN_PASSWORD"  # noqa: S105 - the variable's name, not its value
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
# What a signature must say of how files were hashed; a signed list of more ignored files would let them change.
_COVERS_ALL = {
    "method": "files",
    "hash_type": "sha256",
    "allow_symlinks": False,
    "ignore_paths": [SIGNATURE],
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Signer:
    """A private key (EC, PEM), and with a certificate the chain that leads from it to a root."""

    key: Path
    certificate: Path | None = None
    chain: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.chain and self.certificate is None:
            raise UsageError("--sign-chain: belongs to a certificate; give it with --sign-cert")

    def check(self) -> None:
        """Read the key before any work is done.

        Raises:
            UsageError: the file is no key that can sign, or model-signing is not installed.
        """
        self._configured()

    def sign(self, folder: Path, name: str) -> None:
        """Write `model.sig` into a folder that holds everything else already.

        Args:
            folder: what is signed.
            name: the subject's name in the signature. The library takes it from the path and follows no link,
                so the folder, which still has a temporary name, is called that while it is signed.

        Raises:
            UsageError: the file is no key that can sign, or model-signing is not installed.
            OutputError: the folder cannot be written.
        """
        config = self._configured().set_hashing_config(_hashing())
        with (
            naming_output_errors(folder),
            tempfile.TemporaryDirectory(prefix=folder.name, dir=folder.parent) as above,
            contextlib.redirect_stdout(io.StringIO()),
        ):
            named = Path(above) / name
            folder.rename(named)
            try:
                config.sign(named, named / SIGNATURE)
            finally:
                named.rename(folder)

    def _configured(self) -> Any:
        for path in (self.key, self.certificate, *self.chain):
            if path is not None:
                _require_file(path)
        library = _library("signing", "--sign-key")
        password = os.environ.get(PASSWORD)
        try:
            if self.certificate is not None:
                # The library takes no empty chain; the certificate itself in it changes nothing.
                return library.Config().use_certificate_signer(
                    private_key=self.key,
                    signing_certificate=self.certificate,
                    certificate_chain=self.chain or (self.certificate,),
                )
            return library.Config().use_elliptic_key_signer(
                private_key=self.key, password=password.encode() if password else None
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{self.key}: cannot sign ({_first_line(error)}); give an EC private key (P-256, P-384 or P-521) "
                f"in PEM, its password in ${PASSWORD}, and with --sign-cert the certificate of this very key"
            ) from None


def is_signed(folder: Path) -> bool:
    """Return whether a published folder holds a signature; whose, and whether it fits, is another question."""
    return inside(folder, SIGNATURE).is_file()


def require_signature(folder: Path, signer: Path) -> None:
    """Check that a folder is, file by file, what the owner of a key signed.

    Args:
        folder: a published folder.
        signer: a public key (PEM), or a root certificate (PEM) that the signer's certificate must lead to.

    Raises:
        RegistryError: it is not signed, not by this key, or a file was changed, added or removed since.
        UsageError: the file is no public key, or model-signing is not installed.
    """
    _require_file(signer)
    library = _library("verifying", "--require-signer")
    if not is_signed(folder):
        raise RegistryError(f"{folder}: is not signed; ask its publisher for a signed release")
    try:
        if _CERTIFICATE in signer.read_bytes():
            config = library.Config().use_certificate_verifier(certificate_chain=[signer])
        else:
            config = library.Config().use_elliptic_key_verifier(public_key=signer)
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{signer}: cannot verify ({_first_line(error)}); give a public EC key or a root certificate in PEM"
        ) from None
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            config.set_hashing_config(_hashing_anew(folder)).verify(folder, folder / SIGNATURE)
        covers = _coverage(folder / SIGNATURE)
    except Exception as error:  # noqa: BLE001 - whatever the library says of hostile bytes, the answer is no
        raise RegistryError(
            f"{folder}: its signature is not one of {signer} over these files ({_first_line(error)}); "
            "do not use it, or give the key of its publisher"
        ) from None
    if covers != _COVERS_ALL:
        raise RegistryError(f"{folder}: its signature leaves files out; ask its publisher to sign it whole")


def _coverage(signature: Path) -> Any:
    """Return what a verified signature says of how the folder was hashed."""
    envelope = read_json(signature)["dsseEnvelope"]
    return parse_json(base64.b64decode(envelope["payload"]))["predicate"]["serialization"]


def _hashing() -> Any:
    hashing = _library("hashing", "--sign-key")
    config = hashing.Config().use_file_serialization(hashing_algorithm="sha256", allow_symlinks=False)
    return config.set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def _hashing_anew(folder: Path) -> Any:
    """Return how a published folder is hashed: the Hub's files came after the signature, and a cache has links."""
    config = _hashing().set_ignored_paths(paths=[SIGNATURE, *HUB_FILES], ignore_git_paths=False)
    return config.set_allow_symlinks(blobs_of(folder) is not None)


def _library(module: str, option: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"model_signing.{module}")
    except ImportError:
        raise UsageError(
            f"{option}: model-signing is not installed; run: pip install 'quantkit[sign]'"
        ) from None


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise UsageError(f"{path}: no such file; give a key or certificate in PEM")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
