"""Where published artifacts live."""

from quantkit.registry.directory import DirectoryRegistry, Reference, pull_folder
from quantkit.registry.verification import Verification, verify_artifact

__all__ = ["DirectoryRegistry", "Reference", "Verification", "pull_folder", "verify_artifact"]
