"""Where published artifacts live: one protocol, a folder or an OCI registry behind it."""

from quantkit.registry.directory import DirectoryRegistry, pull_folder
from quantkit.registry.reference import Reference
from quantkit.registry.verification import Verification, verify_artifact

__all__ = ["DirectoryRegistry", "Reference", "Verification", "pull_folder", "verify_artifact"]
