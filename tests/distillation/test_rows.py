"""Rows: every row once an epoch, little padding, and the same batches whenever they are asked for."""

from pathlib import Path

import numpy as np

from quantkit.distillation.rows import Batches, pad, read_rows
from quantkit.tasks import task
from quantkit.tasks.lengths import scaled
from quantkit.tasks.tokenizer import Tokenizer

LENGTHS = [5 + number % 17 for number in range(200)]


def batches(seed: int = 0) -> Batches:
    return Batches(lengths=LENGTHS, token_budget=64, seed=seed)


def test_an_epoch_has_every_row_once() -> None:
    """The first epoch's batches hold all rows, the second's too, in another order."""
    found = batches()
    count = found.per_epoch
    first, second = ([row for n in range(count) for row in found[start + n]] for start in (0, count))
    assert sorted(first) == sorted(second) == list(range(200))
    assert first != second


def test_a_batch_is_found_by_its_number() -> None:
    """Batch 150 is the same whether the batches before it were asked for or not; another seed has others."""
    walked = batches()
    assert [walked[number] for number in range(151)][-1] == batches()[150]
    assert batches(seed=1)[150] != batches()[150]


def test_little_is_padded() -> None:
    """Rows of one length fill batches, so padding is under 5 % where random batches have 40 %."""
    found = batches()
    computed = real = 0
    for number in range(found.per_epoch):
        lengths = [LENGTHS[row] for row in found[number]]
        computed += max(lengths) * len(lengths)
        real += sum(lengths)
        assert max(lengths) * len(lengths) <= 64
    assert computed < 1.05 * real


def test_padding_is_masked_and_full_rows_need_no_mask(questions: Path, teacher: Path) -> None:
    """Rows of one length come without a mask; with a shorter one beside them the mask tells which tokens are some."""
    squad, tokenizer = task("squad"), Tokenizer.load(teacher)
    rows = read_rows([squad.read(questions, "letters")], squad, tokenizer, scaled(48), labelled=True)
    order = np.argsort(rows.lengths)
    short, long = int(order[0]), int(order[-1])
    assert pad(rows, [long, long]).attention_mask is None
    both = pad(rows, [short, long])
    assert both.attention_mask is not None
    assert both.attention_mask.sum(axis=1).tolist() == [rows.lengths[short], rows.lengths[long]]
    assert set(both.input_ids[0, rows.lengths[short] :].tolist()) == {tokenizer.pad_id}
    assert len(both.right) == 2
