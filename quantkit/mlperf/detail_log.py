"""LoadGen's own account of a run, `mlperf_log_detail.txt`: lines of `:::MLLOG` and JSON."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from quantkit.errors import EvaluationError
from quantkit.strict_json import parse_json

DETAIL = "mlperf_log_detail.txt"
SUMMARY = "mlperf_log_summary.txt"
ACCURACY = "mlperf_log_accuracy.json"
_MARK = ":::MLLOG"
_SEEDS = ("qsl_rng_seed", "sample_index_rng_seed", "schedule_rng_seed")
_PERCENTILES = {"p50": "50.00", "p90": "90.00", "p99": "99.00"}


@dataclass(frozen=True, kw_only=True, slots=True)
class DetailLog:
    """What LoadGen says about one run.

    Attributes:
        values: key → its first value, as the public submission checker reads it.
        errors: every message that LoadGen marked as an error.
    """

    values: dict[str, Any]
    errors: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a detail log.

        Raises:
            EvaluationError: it is missing, or a line is not what LoadGen writes.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise EvaluationError(f"{path}: is missing; run it again") from None
        except UnicodeDecodeError as error:
            raise EvaluationError(f"{path}: is not a log of LoadGen ({error}); run it again") from None
        return cls.parse(text, name=str(path))

    @classmethod
    def parse(cls, text: str, *, name: str) -> Self:
        """Read the text of a detail log; `name` is what errors call it.

        Raises:
            EvaluationError: a marked line is not what LoadGen writes, or there is none.
        """
        values: dict[str, Any] = {}
        errors: list[str] = []
        # Only \n ends a line: JSON text may hold other letters that Python takes for line ends.
        for number, line in enumerate(text.split("\n"), start=1):
            if not line.startswith(_MARK):
                continue
            key, value, is_error = _entry(line, f"{name}: line {number}")
            values.setdefault(key, value)
            if is_error:
                errors.append(f"{key}: {value}")
        if not values:
            raise EvaluationError(f"{name}: is not a log of LoadGen, or is empty; run it again")
        return cls(values=values, errors=tuple(errors))

    def whole(self, key: str) -> int | None:
        """Return a whole number, None when it is not there or is none."""
        value = self.values.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def number(self, key: str) -> float | None:
        """Return a number, None when it is not there or is none."""
        value = self.values.get(key)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def text(self, key: str) -> str:
        """Return a text, empty when it is not there."""
        return " ".join(str(self.values.get(key, "")).split())

    @property
    def valid(self) -> bool:
        """Whether LoadGen's verdict is `Result is : VALID`."""
        return bool(self.values.get("result_validity") == "VALID")

    @property
    def seeds(self) -> dict[str, int | None]:
        """The seeds the run really had."""
        return {name: self.whole(f"effective_{name}") for name in _SEEDS}

    @property
    def samples_per_second(self) -> float | None:
        """Offline's result."""
        return self.number("result_samples_per_second")

    @property
    def latency_ms(self) -> dict[str, float]:
        """Percentiles of the latency of a query, in milliseconds."""
        found = {
            name: self.number(f"result_{spelling}_percentile_latency_ns")
            for name, spelling in _PERCENTILES.items()
        }
        return {name: value / 1e6 for name, value in found.items() if value is not None}

    @property
    def early_stopping_ms(self) -> float | None:
        """SingleStream's result: the 90th percentile that early stopping vouches for; None when it does not."""
        nanoseconds = self.number("early_stopping_latency_ss")
        return nanoseconds / 1e6 if nanoseconds else None


def _entry(line: str, place: str) -> tuple[str, Any, bool]:
    try:
        entry = parse_json(line.removeprefix(_MARK))
        key, value, metadata = entry["key"], entry["value"], entry["metadata"]
        is_error = bool(metadata["is_error"])
    except (ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"{place} is not one of LoadGen's ({type(error).__name__}); run it again"
        ) from None
    if not isinstance(key, str):
        raise EvaluationError(f"{place} is not one of LoadGen's (key {key!r}); run it again")
    return key, value, is_error
