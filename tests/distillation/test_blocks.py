"""Blocks: what differs is found, learns from the teacher's inputs, and pulls on nothing else."""

from pathlib import Path

import pytest
from letters import MakeCheckpoint

torch = pytest.importorskip("torch")

from quantkit.checkpoint import read_checkpoint  # noqa: E402 - needs torch
from quantkit.checkpoint.load import load_model  # noqa: E402
from quantkit.distillation.blocks import block_losses, changed_blocks, parameters  # noqa: E402
from quantkit.distillation.encoder import Batch, Encoder  # noqa: E402
from quantkit.distillation.pair import Pair, pair_up  # noqa: E402
from quantkit.distillation.rows import pad, read_rows  # noqa: E402
from quantkit.tasks import task  # noqa: E402
from quantkit.tasks.lengths import scaled  # noqa: E402
from quantkit.tasks.tokenizer import Tokenizer  # noqa: E402


def opened(folder: Path) -> Encoder:
    checkpoint = read_checkpoint(str(folder), task="squad")
    return Encoder(
        model=load_model(checkpoint)[0],
        checkpoint=checkpoint,
        device=torch.device("cpu"),
        dtype=torch.float32,
    )


def some_rows(encoder: Encoder, questions: Path) -> Batch:
    squad, tokenizer = task("squad"), Tokenizer.load(encoder.checkpoint.folder)
    rows = read_rows([squad.read(questions, "letters")], squad, tokenizer, scaled(48), labelled=False)
    return encoder.place(pad(rows, range(6)))


def paired(student: Encoder, teacher: Encoder, layers: tuple[int, ...] | None = None) -> Pair:
    return pair_up(student.checkpoint, teacher.checkpoint, layers)


def test_only_what_differs_is_a_block(student: Path, teacher: Path) -> None:
    """A narrower attention and a missing network are blocks; what has the teacher's weights is none."""
    mine, theirs = opened(student), opened(teacher)
    found = changed_blocks(paired(mine, theirs), mine, theirs)
    assert [block.name for block in found] == ["layer 0 attention", "layer 1 feed-forward"]
    assert changed_blocks(paired(theirs, theirs), theirs, theirs) == []


def test_a_block_before_a_gap_gives_what_the_next_layer_takes(
    make_checkpoint: MakeCheckpoint, teacher: Path
) -> None:
    """Where a layer is gone, the network before the gap has its weights still, and learns all the same."""
    mine, theirs = opened(make_checkpoint(teacher, num_hidden_layers=1)), opened(teacher)
    (block,) = changed_blocks(paired(mine, theirs, (0,)), mine, theirs)
    assert (block.name, block.gives) == ("layer 0 feed-forward", (2, False))


@pytest.mark.parametrize("family", ["bert", "decibert", "distilbert"])
def test_a_copy_has_no_loss(make_checkpoint: MakeCheckpoint, questions: Path, family: str) -> None:
    """Blocks of the teacher's own weights, moved by nothing, give what the teacher gives: the inputs are its own."""
    source = make_checkpoint(family=family)
    mine, theirs = opened(source), opened(source)
    with torch.no_grad():
        for layer in mine.layers:
            for weight in layer.parameters():
                weight.add_(1e-7)
    found = changed_blocks(paired(mine, theirs), mine, theirs)
    assert len(found) == (2 if family == "distilbert" else 4)
    losses = block_losses(found, mine, theirs, some_rows(mine, questions))
    assert [float(loss) for loss in losses.values()] == pytest.approx([0] * len(found), abs=1e-9)


def test_gradients_stay_inside_a_block(student: Path, teacher: Path, questions: Path) -> None:
    """A block's loss moves the block's weights and no other's."""
    mine, theirs = opened(student), opened(teacher)
    mine.model.requires_grad_(True)
    found = changed_blocks(paired(mine, theirs), mine, theirs)
    losses = block_losses(found, mine, theirs, some_rows(mine, questions))
    losses["layer 1 feed-forward"].backward()
    moved = {name for name, weight in mine.model.named_parameters() if weight.grad is not None}
    inside = parameters(mine.layers[1], "feed-forward")
    assert moved == {f"decibert.encoder.layer.1.{name}" for name in inside}
