"""What the runs of a scenario left behind."""

from dataclasses import dataclass
from pathlib import Path

from quantkit.mlperf.accuracy import Score
from quantkit.mlperf.rules import ScenarioName


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedScenario:
    """What the runs of one scenario left behind.

    Attributes:
        scenario: which one.
        user_conf: the text of user.conf.
        accuracy: LoadGen's logs of the accuracy run; None when there was none.
        score: of the accuracy run.
        performance: LoadGen's logs of the performance run; None when there was none.
        command: what was typed, for the README.
    """

    scenario: ScenarioName
    user_conf: str
    accuracy: Path | None
    score: Score | None
    performance: Path | None
    command: str
