"""Keys and certificates for tests; importing it needs `cryptography`, which model-signing brings."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_key(folder: Path, name: str) -> tuple[Path, Path]:
    """Return a private and a public key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public


def make_chain(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """Return a key, its certificate, and the root that signed it."""
    private, _ = make_key(folder, name)
    key = serialization.load_pem_private_key(private.read_bytes(), None)
    root_key = ec.generate_private_key(ec.SECP256R1())
    begin = datetime.now(UTC) - timedelta(days=1)
    paths = []
    for subject, owner, authority in (("root", root_key, True), ("leaf", key, False)):
        named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} {subject}")])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} root")])
        usage = x509.KeyUsage(not authority, *([False] * 4), authority, authority, *([False] * 2))
        certificate = (
            x509.CertificateBuilder()
            .subject_name(named)
            .issuer_name(issuer)
            .public_key(owner.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(root_key, hashes.SHA256())
        )
        path = folder / f"{name}-{subject}.crt"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths.append(path)
    return private, paths[1], paths[0]
