"""Where published artifacts live, and what lets one in: a passing gate on exactly its bytes.

`protocol` is what every registry can do: `directory` is a folder, `oci` speaks with an OCI registry, and `opening` says
which one is meant. `verification` hashes everything again, `evidence` is the one question that publish, verify and pull
ask, and `expected` is what somebody knows besides: the digest, the publisher's key, the name. `channels` point to
versions; `policy` has the floors of a registry and `admission` what was let in by them; `release`, `provenance` and
`bom` are written when something is published, and `signing` signs it all. Neither torch nor onnxruntime is needed, and
HTTP only for OCI.
"""

from quantkit.registry.directory import DirectoryRegistry, pull_folder
from quantkit.registry.evidence import Evidence, require_evidence
from quantkit.registry.expected import Expected
from quantkit.registry.opening import find_registry, open_registry
from quantkit.registry.policy import RegistryPolicy
from quantkit.registry.protocol import Pinned, Registry
from quantkit.registry.reference import Reference
from quantkit.registry.verification import Verification, verify_artifact

__all__ = [
    "DirectoryRegistry",
    "Evidence",
    "Expected",
    "Pinned",
    "Reference",
    "Registry",
    "RegistryPolicy",
    "Verification",
    "find_registry",
    "open_registry",
    "pull_folder",
    "require_evidence",
    "verify_artifact",
]
