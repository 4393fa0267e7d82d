"""Where a model runs, as one value: the engine, and the cluster it is on."""

from dataclasses import dataclass
from typing import Protocol, Self

from quantkit.errors import UsageError


class Asked(Protocol):
    """Settings that say where a model is to run."""

    @property
    def engine(self) -> str | None: ...  # noqa: D102 - see `Where`

    @property
    def ray_address(self) -> str | None: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True, slots=True)
class Where:
    """An engine and its address.

    Attributes:
        engine: one of `quantkit.engines.ENGINES`.
        address: `host:port` of the cluster, for the engine `ray`; None for `$RAY_ADDRESS`, or the one on this machine.
    """

    engine: str = "threads"
    address: str | None = None

    def __post_init__(self) -> None:
        """Refuse an address for an engine that has none.

        Raises:
            UsageError: it is given.
        """
        if self.address is not None and self.engine != "ray":
            raise UsageError(
                f"--ray-address {self.address}: is for --engine ray, and the engine is {self.engine}"
            )

    @classmethod
    def of(cls, asked: Asked) -> Self:
        """Return what settings say; threads of this process where they leave it open.

        Raises:
            UsageError: they give an address to an engine that has none.
        """
        return cls(engine=asked.engine or "threads", address=asked.ray_address)


HERE = Where()
"""Threads of this process."""
