"""Trains the tiny BERT of the quickstart from nothing, on generated call-centre passages.

    python -m quantkit.quickstart.train -o quantkit/quickstart/model

6,000 steps took 24 minutes with one thread on two cores that were busy with other work; the default is 12,000.
How the weights in `model/` were made stands in README.md.

First a WordPiece vocabulary, then the encoder with its answer head, in three phases: short passages, passages
of every length, and at last passages of every length with weights and activations rounded to 8 bits, so that
small errors do not turn an answer (see `fake_quantization.py`). Every passage is generated anew and used once; the
held-out part is only looked at to report. One seed, one thread and one version of torch give the same weights
on the same kind of machine.
"""

import argparse
import contextlib
import itertools
import json
import logging
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import BertWordPieceTokenizer
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize
from transformers import BertConfig, BertForQuestionAnswering, BertTokenizerFast, PreTrainedModel

from quantkit.errors import QuantkitError
from quantkit.files import new_folder
from quantkit.progress import track
from quantkit.quickstart.fake_quantization import fake_quantized
from quantkit.quickstart.generate import HELDOUT, slot_names, write_training
from quantkit.quickstart.labelled import IGNORED, Batch, make_batches
from quantkit.quickstart.values import name_words
from quantkit.tasks import Prediction, WindowSettings
from quantkit.tasks.squad import TASK
from quantkit.tasks.tokenizer import Tokenizer

MODEL = Path(__file__).parent / "model"

_log = logging.getLogger(__name__)

_SEED = 2022
_POSITIONS = 512
_BATCH_TOKENS = 1536
_INITIAL_SPREAD = 0.05  # of weights; BERT's 0.02 is meant for a width of 768 and learns more slowly here
_PEAK_RATE = 2e-3
_PEAK_RATE_AGAIN = 1e-3  # for a model that has been trained before
_WARM_UP = 300
_REPORT_EVERY = 100
_HINTS_AFTER = 2  # layers
STEPS = 12000


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """The size of the model."""

    vocabulary: int = 2500
    hidden: int = 128
    layers: int = 4
    head: int = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """Part of the training.

    Attributes:
        share: of all steps.
        size: range of how much of what could be said the passages say, from 0 to 1.
        long: share of passages that need several windows.
        hints: also train with `Hints`.
        rounded: train against INT8 rounding.
    """

    share: float
    size: tuple[float, float]
    long: float = 0.0
    hints: bool = True
    rounded: bool = False


PHASES = (
    Phase(share=0.30, size=(0.0, 0.15)),
    Phase(share=0.50, size=(0.0, 1.0), long=0.03),
    Phase(share=0.20, size=(0.0, 1.0), long=0.03, hints=False, rounded=True),
)


class Hints(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy here
    """What else a hidden state half-way up should tell; it teaches several times faster than answers alone.

    [CLS] names the slot that is asked about, and every token of the paragraph the slot it belongs to. Both go
    through one matrix, which makes a question and its answer alike: later layers only compare. A token
    also tells whether a value begins or ends with it. Nothing of this is kept after training.
    """

    def __init__(self, hidden: int, slots: int) -> None:
        super().__init__()
        self.names = nn.Linear(hidden, slots + 1)
        self.edges = nn.Linear(hidden, 2)

    def forward(self, states: Tensor, batch: Batch) -> Tensor:
        """Return the loss for the hidden states [rows, tokens, hidden]."""
        asked = functional.cross_entropy(self.names(states[:, 0]), torch.from_numpy(batch.slot))
        slots = torch.from_numpy(batch.slots)
        weight = torch.ones(self.names.out_features)
        weight[0] = 0.2  # most tokens belong to no slot
        told = functional.cross_entropy(
            self.names(states).flatten(0, 1), slots.flatten(), weight=weight, ignore_index=IGNORED
        )
        begins, ends = ((slots > 0) & (slots != slots.roll(shift, dims=1)) for shift in (1, -1))
        labels = torch.stack((begins, ends), dim=-1).float()
        inside = slots != IGNORED
        edges = functional.binary_cross_entropy_with_logits(self.edges(states)[inside], labels[inside])
        return (asked + told) / 2 + edges


def train_tokenizer(folder: Path, vocabulary: int) -> Tokenizer:
    """Learn a lower-cased WordPiece vocabulary from generated passages and save its files into a folder."""
    learner = BertWordPieceTokenizer(lowercase=True)
    learner.train_from_iterator(
        _sample_texts(), vocab_size=vocabulary, min_frequency=3, limit_alphabet=200, show_progress=False
    )
    # The library numbers equally frequent words differently from run to run; sorted, the files are the same.
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = special + sorted(filter(_is_common, set(learner.get_vocab()) - set(special)))
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    BertTokenizerFast(
        vocab={word: index for index, word in enumerate(words)},
        do_lower_case=True,
        model_max_length=_POSITIONS,
    ).save_pretrained(folder)
    return Tokenizer.load(folder)


def _is_common(word: str) -> bool:
    """Return whether a word may be an entry: no name and no number of three or more digits.

    Those of training would be entries and later ones would be cut into pieces; so all are cut into pieces.
    """
    bare = word.removeprefix("##")
    return bare not in name_words() and not (len(bare) > 2 and any(character.isdigit() for character in bare))


def _sample_texts() -> Iterator[str]:
    for passage in itertools.islice(write_training("vocabulary", 6), 4000):
        yield passage.context
        yield from (question.question for question in passage.questions)


def build_model(shape: Shape, vocab_size: int) -> BertForQuestionAnswering:
    """Return an untrained model with two head starts, without which training takes several times as long.

    Positions start as sines (Vaswani et al. 2017, section 3.5), so that "the word before" is easy to learn;
    and keys start equal to queries, so that a word attends to the same word elsewhere.
    """
    torch.manual_seed(_SEED)
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.hidden // shape.head,
        intermediate_size=4 * shape.hidden,
        max_position_embeddings=_POSITIONS,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=_INITIAL_SPREAD,
    )
    model = BertForQuestionAnswering(config)
    positions = torch.arange(_POSITIONS)[:, None]
    rates = torch.exp(-math.log(10000) * torch.arange(0, shape.hidden, 2) / shape.hidden)[None]
    waves = torch.stack((torch.sin(positions * rates), torch.cos(positions * rates)), dim=-1)
    with torch.no_grad():
        table = model.bert.embeddings.position_embeddings.weight
        table.copy_(waves.reshape(_POSITIONS, shape.hidden) * _INITIAL_SPREAD * math.sqrt(2))
        for layer in model.bert.encoder.layer:
            layer.attention.self.key.weight.copy_(layer.attention.self.query.weight)
    return model


def train(
    model: BertForQuestionAnswering,
    tokenizer: Tokenizer,
    steps: int,
    phases: Sequence[Phase],
    peak_rate: float,
) -> None:
    """Train in phases, with AdamW, a warm-up and a linear decay."""
    torch.manual_seed(_SEED)
    hints = Hints(model.config.hidden_size, len(slot_names()))
    weights = [*model.parameters(), *hints.parameters()]
    total = sum(phase.share for phase in phases)
    decayed = [weight for weight in weights if weight.ndim == 2]
    plain = [weight for weight in weights if weight.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=peak_rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / _WARM_UP, (steps - step) / max(1, steps - _WARM_UP))
    )
    rng = np.random.default_rng(_SEED)
    with track("train", steps, "steps") as advance:
        for number, phase in enumerate(phases):
            passages = write_training(f"phase {number} at {peak_rate}", 8, size=phase.size, long=phase.long)
            batches = make_batches(
                passages, tokenizer, WindowSettings(), rng, tokens=_BATCH_TOKENS, positions=_POSITIONS
            )
            with fake_quantized(model) if phase.rounded else contextlib.nullcontext():
                losses = []
                model.train()
                for step, batch in enumerate(
                    itertools.islice(batches, round(steps * phase.share / total)), start=1
                ):
                    losses.append(learn(model, hints if phase.hints else None, batch, optimizer))
                    schedule.step()
                    advance(1)
                    if step % _REPORT_EVERY == 0:
                        _log.info(
                            "step %d of phase %d: loss %.4f", step, number + 1, sum(losses) / len(losses)
                        )
                        losses.clear()
            predictions, _ = answer(model, tokenizer, HELDOUT)
            f1 = 100 * sum(item.f1 for item in predictions) / len(predictions)
            _log.info("phase %d of %d done: held-out F1 %.2f", number + 1, len(phases), f1)


def learn(
    model: PreTrainedModel,
    hints: Hints | None,
    batch: Batch,
    optimizer: torch.optim.Optimizer,
) -> float:
    """Take one step and return the loss of the answers alone."""
    output = model(
        input_ids=torch.from_numpy(batch.input_ids),
        token_type_ids=torch.from_numpy(batch.token_type_ids),
        attention_mask=torch.from_numpy(batch.attention_mask),
        position_ids=torch.from_numpy(batch.position_ids),
        output_hidden_states=True,
    )
    spans = torch.from_numpy(batch.spans)
    first = functional.cross_entropy(output.start_logits, spans[:, 0])
    last = functional.cross_entropy(output.end_logits, spans[:, 1])
    loss = (first + last) / 2
    hint = hints(output.hidden_states[_HINTS_AFTER], batch) if hints is not None else 0.0
    (loss + hint).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())


def answer(
    model: BertForQuestionAnswering, tokenizer: Tokenizer, path: Path, limit: int | None = None
) -> tuple[list[Prediction], list[float]]:
    """Answer the questions of a file, or its first `limit`, one window at a time.

    Returns:
        the predictions, and per window by how much its best start leads over the second, or its best end if
        that leads by less. A window is a row of its own here, so no padding can help or harm.
    """
    settings = WindowSettings()
    dataset = TASK.read(path, path.stem)
    dataset = dataset if limit is None else dataset.limit(limit)
    windows = TASK.cut(dataset, tokenizer, settings)
    model.eval()
    outputs, leads = [], []
    with torch.inference_mode(), parametrize.cached():
        for window in windows:
            output = model(
                input_ids=torch.from_numpy(window.input_ids)[None],
                token_type_ids=torch.from_numpy(window.token_type_ids)[None],
            )
            logits = (output.start_logits[0], output.end_logits[0])
            outputs.append(tuple(values.numpy() for values in logits))
            best_two = (values.topk(2).values for values in logits)
            leads.append(min(float(best - second) for best, second in best_two))
    return TASK.predict(dataset, windows, outputs, settings), leads


def report(
    model: BertForQuestionAnswering, tokenizer: Tokenizer, path: Path, limit: int | None = None
) -> dict[str, float]:
    """Return scores (percent) on a file, in FP32 and rounded to 8 bits, and how many answers that changes."""
    plain, leads = answer(model, tokenizer, path, limit)
    with fake_quantized(model):
        int8, _ = answer(model, tokenizer, path, limit)
    return {
        "questions": len(plain),
        "f1": 100 * sum(item.f1 for item in plain) / len(plain),
        "exact_match": 100 * sum(item.exact_match for item in plain) / len(plain),
        "f1_rounded": 100 * sum(item.f1 for item in int8) / len(int8),
        "exact_match_rounded": 100 * sum(item.exact_match for item in int8) / len(int8),
        "answers_changed": sum(one.answer != other.answer for one, other in zip(plain, int8, strict=True)),
        "lead_first_percentile": float(np.percentile(leads, 1)),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, save and report; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m quantkit.quickstart.train", description="Train the tiny BERT of the quickstart."
    )
    parser.add_argument("-o", "--output", type=Path, default=MODEL, help="the checkpoint folder to write")
    parser.add_argument(
        "--from", dest="start", type=Path, help="train this checkpoint on, without the first phase"
    )
    parser.add_argument("--force", action="store_true", help="replace the folder")
    parser.add_argument("--steps", type=int, default=STEPS, help="optimizer steps (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: %(default)s)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    torch.set_num_threads(options.threads)
    started = time.monotonic()
    try:
        with new_folder(options.output, force=options.force) as folder:
            tokenizer = train_tokenizer(folder, Shape().vocabulary)
            if options.start is None:
                model = build_model(Shape(), tokenizer.vocab_size)
                train(model, tokenizer, options.steps, PHASES, _PEAK_RATE)
            else:
                model = BertForQuestionAnswering.from_pretrained(options.start, use_safetensors=True)
                tokenizer.check_vocabulary(model.config.vocab_size)
                train(model, tokenizer, options.steps, PHASES[1:], _PEAK_RATE_AGAIN)
            model.save_pretrained(folder)
            _log.info("trained in %.0f s", time.monotonic() - started)
            _log.info("held-out: %s", json.dumps(report(model, tokenizer, HELDOUT)))
    except QuantkitError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
