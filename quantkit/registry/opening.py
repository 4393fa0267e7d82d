"""From what the user wrote to a registry: a folder, or `oci://host[:port]/path`."""

from pathlib import Path
from typing import TYPE_CHECKING

from quantkit.errors import RegistryError, UsageError
from quantkit.recipe.settings import Layout
from quantkit.registry.directory import DirectoryRegistry
from quantkit.registry.hub.location import SCHEME as HUB
from quantkit.registry.oci.location import SCHEME, Location, split
from quantkit.registry.policy import POLICY
from quantkit.registry.protocol import Registry
from quantkit.registry.reference import Reference

if TYPE_CHECKING:
    from quantkit.registry.oci.registry import OciRegistry


def open_registry(
    text: str, *, insecure: bool = False, policy: Path | None = None, layout: Layout = "plain"
) -> Registry:
    """Return the registry that is meant; nothing is read or asked yet.

    Args:
        text: a folder, or `oci://host[:port]/path`.
        insecure: allow plain HTTP to a host that is not this machine.
        policy: a policy.yaml that an OCI registry is held to; None: the default. A folder has its own.
        layout: of what will be published.

    Raises:
        RegistryError: it begins with `oci://` and is no such address; or it does not take this layout.
        UsageError: there is a policy, and it is a folder.
    """
    if text.startswith(HUB):
        raise RegistryError(f"{text}: the Hub is no registry; publish into a folder, and add --push {text}")
    if text.startswith(SCHEME):
        if layout != "plain":
            raise RegistryError(f"{text}: does not take the layout {layout}; publish into a folder")
        return _oci(Location.parse(text), insecure=insecure, policy=policy)
    if policy is not None:
        raise UsageError(
            f"--policy {policy}: is for OCI registries; the folder {text} has its own, {POLICY} at its top"
        )
    return DirectoryRegistry(Path(text), layout)


def find_registry(
    reference: str, registry: str, *, insecure: bool = False, policy: Path | None = None
) -> tuple[Registry, str]:
    """Return the registry of a reference, and the reference within it.

    Args:
        reference: `name:version` in `registry`, or a whole `oci://host/path/name:version`.
        registry: see `open_registry`.
        insecure: see `open_registry`.
        policy: see `open_registry`.

    Raises:
        RegistryError: either is not of its form.
    """
    if reference.startswith(SCHEME):
        location, within = split(reference)
        return _oci(location, insecure=insecure, policy=policy), within
    return open_registry(registry, insecure=insecure, policy=policy), reference


def find_names(
    name: str | None, registry: str, *, insecure: bool = False, policy: Path | None = None
) -> tuple[Registry, list[str]]:
    """Return a registry and the name in it that is meant, or all of its names.

    Args:
        name: a name in `registry`, a whole `oci://host/path/name`, or None for all.
        registry: see `open_registry`.
        insecure: see `open_registry`.
        policy: see `open_registry`.

    Raises:
        RegistryError: the name is no word, nothing is published under it, or the registry does not list its names.
    """
    if name is None:
        place = open_registry(registry, insecure=insecure, policy=policy)
        return place, place.names()
    if name.startswith(SCHEME):
        location, within = split(f"{name.rstrip('/')}:0")
        place, wanted = _oci(location, insecure=insecure, policy=policy), Reference.parse(within).name
    else:
        place, wanted = (
            open_registry(registry, insecure=insecure, policy=policy),
            Reference.checked(name, "0").name,
        )
    if not place.releases(wanted):
        raise RegistryError(f"{place}: has nothing under the name {wanted}; see `quantkit list`")
    return place, [wanted]


def _oci(location: Location, *, insecure: bool, policy: Path | None) -> "OciRegistry":
    """Return the registry at a location; only now is HTTP imported, which folders do without."""
    from quantkit.registry.oci.registry import OciRegistry

    return OciRegistry.of(location, insecure=insecure, policy=policy)
