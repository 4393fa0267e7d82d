"""A search whose blocks may stay float, from the teacher to the candidates' checkpoints."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from letters import MakeCheckpoint
from shapes.conftest import ratios

from quantkit.artifact import Artifact
from quantkit.checkpoint import read_checkpoint
from quantkit.graph.kernels import trace_execution
from quantkit.graph.linear import matching
from quantkit.recipe.search_settings import SearchSettings
from quantkit.shapes import price, trials
from quantkit.shapes.blocks import Block
from quantkit.shapes.in_float import InFloat, floats_of
from quantkit.shapes.keep_float import read_kept
from quantkit.stages import search as stage

finding = importlib.import_module("quantkit.shapes.find")


def bytes_of(snippet: Any) -> float:
    """Return a cost that grows with the bytes of the weights: float costs more than INT8 on every machine."""
    graph = snippet.build().graph
    return 1.0 + sum(one.const_value.nbytes for one in graph.initializers.values() if one.uses()) / 1000


@pytest.mark.slow
@pytest.mark.usefixtures("plain")
@pytest.mark.filterwarnings("ignore")
def test_what_int8_hurts_is_built_timed_and_written_as_float(
    make_checkpoint: MakeCheckpoint,
    teacher: Artifact,
    settings: SearchSettings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """One block that INT8 alone would ruin: it is float in what is built, timed, told and written."""
    timed: list[Any] = []

    def measured(snippets: Any, **_: Any) -> list[float]:
        timed.extend(snippets)
        return [bytes_of(one) for one in snippets]

    for module in (price, trials):
        monkeypatch.setattr(module, "measure_beside", measured)
    monkeypatch.setattr(trials, "times_the_first", ratios)
    monkeypatch.setattr(stage, "_checked", lambda *_: None)
    monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / "cache"))
    real = finding.damages_of

    def hurt(*arguments: Any) -> dict[Block, dict[Any, float]]:
        damages: dict[Block, dict[Any, float]] = real(*arguments)
        first = next(iter(damages))
        for option in damages[first]:
            damages[first][option] += 0.0 if isinstance(option, InFloat) else 9.0
        return damages

    monkeypatch.setattr(finding, "damages_of", hurt)
    kept: list[Any] = []
    real_find = stage.find

    def found(*arguments: Any, **named: Any) -> Any:
        kept.append(real_find(*arguments, **named))
        return kept[-1]

    monkeypatch.setattr(stage, "find", found)
    report = stage.search(
        read_checkpoint(str(make_checkpoint()), task="squad"),
        stage.Output(path=tmp_path / "found"),
        settings=settings.model_copy(update={"float_blocks": True, "min_int8_coverage": 0.1}),
        export=lambda *_: teacher,
        work=tmp_path,
    )
    (whole,) = kept
    solution = next(one for one in whole.search.candidates if one.origin.startswith("solution"))
    floats = floats_of(solution.units)
    assert "layer.0.attention" in [block.slot for block in floats]
    assert len(floats) < len(solution.units)

    # The file that is judged: these layers run in float, and no others of the encoder.
    whole.search.trials.built(solution.units, tmp_path / "model.onnx")
    executed = trace_execution(
        tmp_path / "model.onnx", outputs=("start_logits", "end_logits"), config=teacher.config
    )
    in_float = {layer.name for layer in executed.layers if not layer.integer}
    wanted = {name for block in floats for name in (*block.readers, block.projection)}
    assert in_float == wanted
    assert 0 < executed.int8_coverage < 1
    # What is timed is mixed too.
    shape = whole.search.trials.whole(solution.units)
    assert shape in timed
    assert ("layer.0.attention", str(solution.units[floats[0]])) in shape.shape

    # The report and the folder say the same, by patterns that name these layers alone.
    number = whole.search.candidates.index(solution) + 1
    one = report.candidates[number]
    assert one.float_blocks == tuple(block.slot for block in floats)
    patterns = [entry.pattern for entry in read_kept(tmp_path / "found" / one.folder)]
    assert matching([layer.name for layer in executed.layers], patterns) == wanted
    text = yaml.safe_load((tmp_path / "found" / one.folder / "quantize.yaml").read_text())
    assert list(text) == ["keep_float"]
    assert "as INT8 9" in text["keep_float"][0]["because"]
    uniform = next(one for one in report.candidates if one.origin == "uniform")
    assert (uniform.float_blocks, read_kept(tmp_path / "found" / uniform.folder)) == ((), ())
