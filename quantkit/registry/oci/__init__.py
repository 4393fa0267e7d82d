"""An OCI registry as a registry of quantkit's."""
