"""The channels of a name in an OCI registry: one small JSON under a tag of its own.

The tag of a channel says where it points, and nothing of how it came there. The record has the history; it is
read before it is written and read back after, because the protocol cannot do both at once.
"""

from quantkit.errors import RegistryError
from quantkit.files import canonical_json
from quantkit.registry.channels import Channels
from quantkit.registry.oci.client import MANIFEST_TYPE, Blob, Client
from quantkit.registry.oci.layout import descriptor
from quantkit.strict_json import parse_json

RECORD = "quantkit-channels"
TYPE = "application/vnd.quantkit.channels.v1+json"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_EMPTY = b"{}"
_LIMIT = 1 << 20  # bytes; some ten thousand steps


def read_channels(client: Client, repository: str) -> tuple[Channels, str | None]:
    """Return the channels of a repository and the digest of their record's manifest; none and None without one.

    Raises:
        RegistryError: what is there is no record, or the registry fails.
    """
    content = client.manifest(repository, RECORD)
    if content is None:
        return Channels(), None
    place = f"{client.transport.location}: {repository}:{RECORD}"
    try:
        layer = parse_json(content)["layers"][0]
        blob = Blob(digest=str(layer["digest"]), size=int(layer["size"]))
    except (ValueError, KeyError, IndexError, TypeError):
        raise RegistryError(f"{place}: is no record of channels; delete the tag") from None
    if blob.size > _LIMIT:
        raise RegistryError(
            f"{place}: has {blob.size:,} bytes, more than a record of channels; delete the tag"
        )
    try:
        channels = Channels.model_validate(parse_json(client.blob(repository, blob)))
    except ValueError:
        raise RegistryError(f"{place}: is no record of channels; delete the tag") from None
    return channels, Blob.of(content).digest


def write_channels(client: Client, repository: str, channels: Channels) -> str:
    """Store the record and return the digest of its manifest.

    Raises:
        RegistryError: the registry fails.
    """
    record = canonical_json(channels.as_json())
    for content in (record, _EMPTY):
        client.push_blob(repository, Blob.of(content), content, lambda _: None)
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": TYPE,
            "config": descriptor(Blob.of(_EMPTY), _EMPTY_TYPE),
            "layers": [descriptor(Blob.of(record), TYPE)],
        }
    )
    client.put_manifest(repository, RECORD, manifest)
    return Blob.of(manifest).digest
