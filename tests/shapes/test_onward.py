"""Models that differ in one block, run from that block on."""

import numpy as np
import onnx_ir as ir
import pytest
from distillation.conftest import make_checkpoint, one_thread
from letters import LENGTH, MakeCheckpoint, write_questions

from quantkit.exam.exam import Exam, Sitting
from quantkit.graph.linear import linear_layers
from quantkit.graph.model import load_model
from quantkit.pipeline.fusing import ExportRequest, export_and_fuse
from quantkit.quantization.grids import GRIDS
from quantkit.quantization.observe import Detail, observe_model
from quantkit.quantization.write import open_embed_layer_norm
from quantkit.recipe.settings import ExportSettings, FuseSettings
from quantkit.shapes import onward
from quantkit.shapes.blocks import Block, blocks_of
from quantkit.shapes.onward import Onward, sat
from quantkit.shapes.order import Narrowed, keeping
from quantkit.shapes.quantized import Bench
from quantkit.shapes.rest import begin_at, stream_of
from quantkit.shapes.rewrite import projection_of, read_by
from quantkit.tasks.calibration_set import select

pytest.importorskip("torch", reason="exporting needs torch")

__all__ = ["make_checkpoint", "one_thread"]


@pytest.fixture(scope="module")
def teacher(
    make_checkpoint: MakeCheckpoint, exact_grids: frozenset[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bench, tuple[Block, ...], Exam]:
    """Return a tiny teacher, its blocks, and 30 questions."""
    folder = tmp_path_factory.mktemp("teacher")
    asked = ExportRequest(
        checkpoint=str(make_checkpoint()),
        task="squad",
        export=ExportSettings(max_length=LENGTH),
        fuse=FuseSettings(),
    )
    artifact = export_and_fuse(asked, folder / "fused")
    model = load_model(artifact.model_path)
    open_embed_layer_norm(model)
    questions = select(str(write_questions(folder / "q.json", 10)), "squad", None, None, 0, at_most=30)
    seen = observe_model(artifact, model, questions, detail=Detail.MOMENTS)
    bench = Bench(model=model, observations=seen, grid=GRIDS[sorted(exact_grids)[0]])
    exam = Exam(artifact, questions.dataset, Sitting(label="damage", judged=False), confidence=0.8)
    return bench, blocks_of(artifact, model), exam


def parts_of(bench: Bench, block: Block) -> dict[int, Narrowed]:
    """Return the block whole, halved and missing."""
    of = projection_of(bench.model, block, bench.observations.statistics[read_by(bench.model, block)])
    return {count: keeping(of, np.arange(count)) for count in (block.units, block.units // 2, 0)}


def test_the_rest_gives_what_the_whole_gives(
    teacher: tuple[Bench, tuple[Block, ...], Exam], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every block, halved and missing, to the last bit; also where only one stream is in memory at a time."""
    bench, blocks, exam = teacher
    one = Onward(bench=bench, exam=exam, blocks=blocks)
    monkeypatch.setattr(onward, "_MOST_BYTES", 1)
    for block in blocks:
        for part in list(parts_of(bench, block).values())[1:]:
            assert one.marks(block, part) == sat(exam, bench.quick({block: part}))


@pytest.mark.parametrize("share", [1, 2])
def test_a_block_in_float_is_float(teacher: tuple[Bench, tuple[Block, ...], Exam], share: int) -> None:
    """Whole and halved, as damage is measured and as candidates are built: its linear layers, and no others."""
    bench, blocks, exam = teacher
    kept = blocks[1]
    wanted = {*kept.readers, kept.projection}
    parts = {kept: parts_of(bench, kept)[kept.units // share]}
    quick = bench.quick(parts, floats=[kept])
    assert {layer.name for layer in linear_layers(quick.graph)} == wanted
    one = Onward(bench=bench, exam=exam, blocks=blocks)
    assert one.marks(kept, parts[kept], in_float=True) == sat(exam, quick)
    good = bench.model.clone()
    bench.good(good, bench.observations, floats=[kept])
    assert {layer.name for layer in linear_layers(good.graph)} == wanted


def test_only_the_rest_is_in_the_graph(teacher: tuple[Bench, tuple[Block, ...], Exam]) -> None:
    """What comes before a block is neither quantized nor written: its readers and all after them are left."""
    bench, blocks, _ = teacher
    last = blocks[-1]
    name = stream_of(bench.model, last)
    model = bench.quick({last: parts_of(bench, last)[0]}, since=name)
    assert [value.name for value in model.graph.inputs] == [name]
    assert len(list(model.graph)) < 10


def test_a_stream_that_is_not_all_is_not_cut_at(teacher: tuple[Bench, tuple[Block, ...], Exam]) -> None:
    """A graph whose rest reads more than the stream and the mask stays as it was."""
    bench, blocks, _ = teacher
    model = bench.model.clone()
    before = wired(model)
    # Of what the last block projects: its residual needs the tokens.
    (layer,) = [layer for layer in linear_layers(model.graph) if layer.name == blocks[-1].projection]
    assert not begin_at(model, layer.node.outputs[0].name or "", 32)
    assert not begin_at(model, "no such tensor", 32)
    assert wired(model) == before


def wired(model: ir.Model) -> list[tuple[str | None, list[str | None]]]:
    """Return every node with the names of its inputs."""
    return [(node.name, [value.name if value else None for value in node.inputs]) for node in model.graph]
