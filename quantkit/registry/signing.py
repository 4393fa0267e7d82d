"""Signing a published folder, and requiring a signature, with OpenSSF's `model-signing`.

The signature is `model.sig` at the top of the folder, in model-signing's own format (a Sigstore bundle with a DSSE
envelope over the sha256 of every file), so that `model_signing verify key` reads it too. It covers every file of
the folder but itself and those of the Hugging Face Hub: the manifest, the evidence, and `reports/release.json`, which
says for which name and version these bytes are. Two defaults of the library are turned off: it leaves out files named
`.git*`, and it can ignore files that were not signed.
"""

import contextlib
import io
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantkit.artifact.hub_files import HUB_FILES
from quantkit.artifact.manifest import SIGNATURE
from quantkit.errors import RegistryError, UsageError
from quantkit.files import inside, naming_output_errors
from quantkit.hub_cache import blobs_of
from quantkit.registry.policy import POLICY
from quantkit.registry.signers import TrustedSigner
from quantkit.strict_json import parse_json

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

    def is_one_of(self, signers: Sequence[TrustedSigner]) -> bool:
        """Return whether what this key signs is signed by one of a policy's signers.

        Raises:
            UsageError: the file is no key that can sign, or model-signing is not installed.
        """
        with tempfile.TemporaryDirectory(prefix="quantkit-") as above:
            folder = Path(above) / "probe"
            folder.mkdir()
            (folder / "probe").write_bytes(b"")
            self.sign(folder, "probe")
            try:
                require_one_of(folder, signers)
            except RegistryError:
                return False
            return True

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
    verifier = _verifier(signer, named=str(signer), option="--require-signer")
    _require_signed(folder)
    try:
        _verify(folder, verifier, identity=None)
    except _Unfit as error:
        raise RegistryError(
            f"{folder}: its signature is not one of {signer} over these files ({error}); "
            "do not use it, or give the key of its publisher"
        ) from None


def require_one_of(folder: Path, signers: Sequence[TrustedSigner]) -> None:
    """Check that a folder is, file by file, what one of a policy's signers signed.

    Raises:
        RegistryError: it is not signed, by none of them, or a file was changed, added or removed since.
        UsageError: a key is of a kind that cannot verify, or model-signing is not installed.
    """
    _library("verifying", f"signers of {POLICY}")
    _require_signed(folder)
    reasons = []
    with tempfile.TemporaryDirectory(prefix="quantkit-") as above:
        for number, signer in enumerate(signers):
            pem = Path(above) / f"{number}.pem"
            pem.write_text(signer.pem, encoding="ascii")
            verifier = _verifier(pem, named=f"{POLICY}: signers.{number}", option=f"signers of {POLICY}")
            try:
                _verify(folder, verifier, identity=signer.identity)
            except _Unfit as error:
                reasons.append(f"{signer}: {error}")
            else:
                return
    raise RegistryError(
        f"{folder}: is signed by none of the signers of {POLICY} ({reasons[0] if reasons else 'there are none'}); "
        "do not use it, and ask its publisher"
    )


class _Unfit(Exception):
    """A signature does not fit; says why in one line."""


def _require_signed(folder: Path) -> None:
    if not is_signed(folder):
        raise RegistryError(f"{folder}: is not signed; ask its publisher for a signed release")


def _verifier(pem: Path, *, named: str, option: str) -> Any:
    library = _library("verifying", option)
    try:
        if _CERTIFICATE in pem.read_bytes():
            config = library.Config().use_certificate_verifier(certificate_chain=[pem])
        else:
            config = library.Config().use_elliptic_key_verifier(public_key=pem)
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{named}: cannot verify ({_first_line(error)}); give a public EC key or a root certificate in PEM"
        ) from None
    return config


def _verify(folder: Path, verifier: Any, *, identity: str | None) -> None:
    signature = folder / SIGNATURE
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            verifier.set_hashing_config(_hashing_anew(folder)).verify(folder, signature)
        bundle = _library("_signing.sign_sigstore_pb", "model.sig").Signature.read(signature).bundle
        covers = parse_json(bundle.dsse_envelope.payload)["predicate"]["serialization"]
        names = _names(bundle) if identity is not None else set()
    except Exception as error:  # noqa: BLE001 - whatever the library says of hostile bytes, the answer is no
        raise _Unfit(_first_line(error)) from None
    if covers != _COVERS_ALL:
        raise _Unfit("it leaves files out")
    if identity is not None and identity not in names:
        raise _Unfit(f"its certificate is not for {identity}")


def _names(bundle: Any) -> set[str]:
    """Return whom the signer's certificate, already verified, is for: its common names and alternative names."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    first = bundle.verification_material.x509_certificate_chain.certificates[0]
    certificate = x509.load_der_x509_certificate(first.raw_bytes)
    names = {
        str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    }
    with contextlib.suppress(x509.ExtensionNotFound):
        other = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        for kind in (x509.RFC822Name, x509.DNSName, x509.UniformResourceIdentifier):
            names |= set(other.get_values_for_type(kind))
    return names


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
