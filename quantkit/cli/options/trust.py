"""Whether what a command runs is trusted, and the limits of the process that runs it when it is not."""

import dataclasses
from typing import TYPE_CHECKING

import click

from quantkit.cli.options import KNOWN, Decorator, Known, allow_code_option, grouped
from quantkit.errors import UsageError

if TYPE_CHECKING:
    from quantkit.runtime.confinement import Limits


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Trust(Known):
    """What was said of trust, in what is run and in what was seen before.

    Attributes:
        untrusted: models and tokenizers are run by a process with limits.
        allow_code: a Python function that the settings name may be run, by this process.
        time_limit: seconds for each piece of its work; None: as the models are large and the questions many.
        memory_limit: GiB that it may take; None: as the models are large.
    """

    untrusted: bool
    time_limit: float | None
    memory_limit: float | None
    allow_code: bool

    def limits(self) -> "Limits | None":
        """Return the limits; None for what is trusted.

        Raises:
            UsageError: a limit is given for what is trusted.
        """
        from quantkit.runtime.confinement import GIB, Limits

        if not self.untrusted:
            given = {"--time-limit": self.time_limit, "--memory-limit": self.memory_limit}
            for option in (name for name, value in given.items() if value is not None):
                raise UsageError(f"{option}: is for --untrusted; leave it out, or say --untrusted")
            return None
        memory = None if self.memory_limit is None else int(self.memory_limit * GIB)
        return Limits(seconds=self.time_limit, memory_bytes=memory)


def trust_options(*, untrusted: bool) -> Decorator:
    """Add what a `Trust` holds: --untrusted, --trusted, limits, --allow-code, --no-cache, --data-dir.

    Args:
        untrusted: what holds when neither is said. The function's parameter is `trust`.
    """
    return grouped(
        "trust",
        Trust,
        click.option(
            "--untrusted/--trusted",
            default=untrusted,
            help="Run models and tokenizers in a process of its own, bounded in memory and time. "
            f"[default: {'untrusted' if untrusted else 'trusted'}]",
        ),
        click.option(
            "--time-limit",
            metavar="SECONDS",
            type=click.FloatRange(min=1, max=1e7),
            help="Seconds that each piece of its work may take; default: ten minutes, and more for large models "
            "and many questions.",
        ),
        click.option(
            "--memory-limit",
            metavar="GIB",
            type=click.FloatRange(min=0.5, max=1e5),
            help="GiB of memory that it may write; default: 4, and eight times the size of the models.",
        ),
        allow_code_option,
        *KNOWN,
    )
