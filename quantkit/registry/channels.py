"""Channels: words such as `latest` and `production` that point to a published version, with their history.

A channel moves forwards only, to a version that was published later than the one it points to. The way back is
a rollback, which is a step of its own and stays in the history. The same rules hold in every registry; what a
registry does itself is to keep the record, as safely as it can.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from quantkit.errors import RegistryError
from quantkit.records.record import Record, Report
from quantkit.registry.protocol import Registry, Released
from quantkit.registry.reference import VERSION, Reference, version_order
from quantkit.registry.signing import Signer

_CHANNEL = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
_LONGEST = 63
Channel = Annotated[str, Field(pattern=f"^{_CHANNEL}$", max_length=_LONGEST)]


class Move(Record):
    """One step of a channel: where it pointed from then on."""

    action: Literal["promote", "rollback"]
    version: str = Field(pattern=f"^{VERSION.pattern}$")
    artifact: str = Field(description="digest of the artifact", pattern="^[0-9a-f]{64}$")
    at: str = Field(description="when, in UTC, by the clock of whoever did it", pattern=r"^[0-9T:-]{19}Z$")


class Channels(Report):
    """All channels of one name."""

    format: Literal["quantkit/channels/1"] = Field(default="quantkit/channels/1", alias="schema")
    channels: Mapping[Channel, tuple[Move, ...]] = Field(
        default={}, description="channel → its steps, in order"
    )
    signature: str | None = Field(
        default=None,
        description="of all the rest and the name, in model-signing's format; null: nobody signed",
    )

    def as_json(self) -> dict[str, Any]:
        """Return the plain JSON object; without a signature it is the one that versions before signatures read."""
        content = super().as_json()
        return (
            content
            if self.signature is not None
            else {key: value for key, value in content.items() if key != "signature"}
        )

    def way(self, channel: str) -> list[Move]:
        """Return the versions a rollback can go back along, the current one last."""
        way: list[Move] = []
        for move in self.channels.get(channel, ()):
            if move.action == "promote":
                way.append(move)
            elif way:
                way.pop()
        return way

    def current(self, channel: str) -> Move | None:
        """Return where a channel points, or None when there is no such channel."""
        way = self.way(channel)
        return way[-1] if way else None

    def pointing(self) -> dict[str, str]:
        """Return channel → the version it points to, sorted."""
        currents = {channel: self.current(channel) for channel in sorted(self.channels)}
        return {channel: move.version for channel, move in currents.items() if move is not None}

    def held(self) -> set[str]:
        """Return the versions that a channel points to, or can be rolled back to."""
        return {move.version for channel in self.channels for move in self.way(channel)}

    def stepped(self, channel: str, move: Move) -> "Channels":
        """Return the same channels with one step more."""
        steps = {**self.channels, channel: (*self.channels.get(channel, ()), move)}
        return self.model_copy(update={"channels": steps, "signature": None})


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """What a promotion or rollback did: the versions before and after, the same where nothing had to move."""

    name: str
    channel: str
    before: str | None
    after: str


def checked_channel(channel: str) -> str:
    """Return a channel's name.

    Raises:
        RegistryError: it is no word.
    """
    if not re.fullmatch(_CHANNEL, channel) or len(channel) > _LONGEST:
        raise RegistryError(
            f"{channel!r}: is no channel; use lower-case letters, digits and single - between them, "
            "such as production"
        )
    return channel


def promote(registry: Registry, reference: str, channel: str, *, signer: Signer | None = None) -> Moved:
    """Let a channel point to a published version, verified, that is newer than the one it points to.

    Args:
        registry: where it is published.
        reference: `name:version`, or `name:channel` of another channel.
        channel: the channel to move; made when it is new.
        signer: signs the record of the channels; None: nobody.

    Raises:
        RegistryError: there is no such version, it does not verify, it is older, or the channel's name is a
            version's; or the policy has signers, and the signer is none of them.
        UsageError: the key cannot sign.
    """
    checked_channel(channel)
    wanted = registry.resolve(reference)
    name = wanted.name
    releases = {release.version: release for release in registry.releases(name)}
    if channel in releases:
        raise RegistryError(f"{registry}: {name}:{channel} is a version; choose another word for the channel")
    found = registry.verify(str(wanted))
    if found.problem:
        raise RegistryError(f"{found.problem}; {channel} stays where it is")
    before: str | None = None

    def step(channels: Channels) -> Channels:
        nonlocal before
        current = channels.current(channel)
        before = current.version if current else None
        if before == wanted.version:
            return channels
        if before in releases and not _newer(releases[wanted.version], releases[before]):
            raise RegistryError(
                f"{registry}: {name}:{channel} points to {before}, which was published after {wanted.version}; "
                f"a channel only moves forwards, go back with `quantkit rollback {name}:{channel}`"
            )
        move = Move(action="promote", version=wanted.version, artifact=found.artifact, at=now())
        return channels.stepped(channel, move)

    registry.change_channels(name, channel, step, signer)
    return Moved(name=name, channel=channel, before=before, after=wanted.version)


def rollback(registry: Registry, reference: str, *, signer: Signer | None = None) -> Moved:
    """Let a channel, given as `name:channel`, point to the version before the one it points to.

    Args:
        registry: where it is published.
        reference: `name:channel`.
        signer: signs the record of the channels; None: nobody.

    Raises:
        RegistryError: there is no such channel, or nothing before; or the policy has signers, and the signer is
            none of them.
        UsageError: the key cannot sign.
    """
    wanted = Reference.parse(reference)
    name, channel = wanted.name, checked_channel(wanted.version)
    before, after = "", ""

    def step(channels: Channels) -> Channels:
        nonlocal before, after
        way = channels.way(channel)
        if not way:
            there = ", ".join(channels.pointing()) or "none"
            raise RegistryError(f"{registry}: {name} has no channel {channel}; channels: {there}")
        if len(way) < 2:
            raise RegistryError(
                f"{registry}: {name}:{channel} points to {way[0].version}, and there is nothing before it to go back to"
            )
        before, after = way[-1].version, way[-2].version
        move = Move(action="rollback", version=after, artifact=way[-2].artifact, at=now())
        return channels.stepped(channel, move)

    registry.change_channels(name, channel, step, signer)
    return Moved(name=name, channel=channel, before=before, after=after)


def unreferenced(registry: Registry, name: str, *, keep: int) -> list[Released]:
    """Return the versions that no channel points to or can be rolled back to, without the `keep` newest.

    A name without channels has nothing that says what is in use, so all of its versions stay.
    """
    channels = registry.channels(name)
    if not channels.pointing():
        return []
    held = channels.held()
    releases = registry.releases(name)
    return [release for release in releases[: max(len(releases) - keep, 0)] if release.version not in held]


def now() -> str:
    """Return the time in UTC, to the second, as RFC 3339 writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def publication_order(release: Released) -> tuple[float, list[tuple[int, int, str]]]:
    """Return a sort key: by the time of publication, then by the numbers of the version."""
    return release.published, version_order(release.version)


def _newer(candidate: Released, current: Released) -> bool:
    return publication_order(candidate) > publication_order(current)
