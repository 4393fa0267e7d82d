"""What one LoadGen run is to do: a file that the process of the run reads."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from quantkit.files import write_json
from quantkit.mlperf.rules import ModeName, ScenarioName
from quantkit.runtime.profile import RuntimeProfile
from quantkit.strict_json import read_json

JOB = "job.json"
OUTCOME = "outcome.json"
LOGS = "logs"


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadgenJob:
    """One run in one process.

    Attributes:
        model: the ONNX file.
        model_name: what messages call it.
        outputs: its outputs.
        pad_id: the token that fills a row up to its batch's length.
        samples: the file of the sample library.
        scenario: what LoadGen asks for.
        mode: what LoadGen measures; `estimate` runs without LoadGen, to find what to ask it for.
        user_conf: the file with LoadGen's settings; empty for `estimate`.
        profile: instances, threads and batches.
        estimate_seconds: how long an estimate measures at least, unless all samples take less.
    """

    model: str
    model_name: str
    outputs: tuple[str, ...]
    pad_id: int
    samples: str
    scenario: ScenarioName
    mode: ModeName | Literal["estimate"]
    user_conf: str
    profile: RuntimeProfile
    estimate_seconds: float = 3.0

    def write(self, folder: Path) -> Path:
        """Write the job into the folder of its run."""
        content = asdict(self)
        content["profile"] = self.profile.as_json()
        write_json(folder / JOB, content)
        return folder / JOB

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        content: dict[str, Any] = read_json(path)
        content["outputs"] = tuple(content["outputs"])
        content["profile"] = RuntimeProfile.model_validate(content["profile"])
        return cls(**content)

    @property
    def label(self) -> str:
        """The run in words, for progress and errors."""
        return f"{self.scenario} {self.mode}"
