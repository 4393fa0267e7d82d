"""Where published artifacts live, and what lets one in: a passing gate on exactly its bytes.

`directory` is a registry that is a folder, `verification` hashes everything again, and `evidence` is the one question
that publish, verify and pull ask. `policy` has the floors of a registry, `admission` what was let in by them. Neither
torch nor onnxruntime is needed.
"""

from quantkit.registry.directory import DirectoryRegistry, Reference, pull_folder
from quantkit.registry.evidence import Evidence, require_evidence
from quantkit.registry.policy import RegistryPolicy
from quantkit.registry.verification import Verification, verify_artifact

__all__ = [
    "DirectoryRegistry",
    "Evidence",
    "Reference",
    "RegistryPolicy",
    "Verification",
    "pull_folder",
    "require_evidence",
    "verify_artifact",
]
