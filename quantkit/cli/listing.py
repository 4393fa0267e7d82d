"""quantkit list: what a registry holds."""

from datetime import UTC, datetime
from typing import Any

import click

from quantkit.cli import options, registry_options, show


@click.command("list")
@click.argument("name", required=False)
@registry_options.at_options
@options.json_option
def command(*, name: str | None, at: registry_options.At, as_json: bool) -> None:
    """List names, versions and channels of a registry.

    NAME is one name, or oci://host/path/name; without it all names are listed, where the registry tells them.
    """
    registry, names = at.names(name)
    content = []
    for found in names:
        channels = registry.channels(found)
        pointing = channels.pointing()
        versions: list[dict[str, Any]] = [
            {
                "version": release.version,
                "artifact": release.artifact,
                "published": datetime.fromtimestamp(release.published, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "signed": release.signed,
                "channels": [channel for channel, version in pointing.items() if version == release.version],
            }
            for release in registry.releases(found)
        ]
        history = channels.as_json()["channels"]
        content.append({"name": found, "versions": versions, "channels": pointing, "history": history})
    if as_json:
        show.print_json({"schema": "quantkit/registry/1", "registry": str(registry), "names": content})
        return
    rows = [
        (
            f"{entry['name']}:{version['version']}",
            ", ".join(version["channels"]),
            version["published"],
            "yes" if version["signed"] else "no",
            version["artifact"][:12],
        )
        for entry in content
        for version in entry["versions"]
    ]
    show.print_table(str(registry), ("version", "channels", "published", "signed", "artifact"), rows)
