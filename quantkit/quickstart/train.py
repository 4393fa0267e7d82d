"""Trains the tiny BERT of the quickstart from nothing, on generated call-centre passages.

    python -m quantkit.quickstart.train -o quantkit/quickstart/model

TIMING

First a WordPiece vocabulary, then the encoder with its answer head, in three phases: short passages, passages
of every length, and at last passages of every length with weights and activations rounded to 8 bits, so that
small errors do not turn an answer (see `rounding.py`). Every passage is generated anew and used once; the
held-out part is only looked at to report, never to choose. One seed, one thread and one version of torch give
the same weights on the same kind of machine.
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
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import parametrize
from transformers import BertConfig, BertForQuestionAnswering, BertTokenizerFast

from quantkit.errors import QuantkitError
from quantkit.files import new_folder
from quantkit.progress import track
from quantkit.quickstart.generate import HELDOUT, slot_names, write_training
from quantkit.quickstart.labelled import IGNORED, Batch, make_batches
from quantkit.quickstart.rounding import rounded
from quantkit.quickstart.values import name_words
from quantkit.tasks import FeatureSettings, Prediction
from quantkit.tasks.squad import TASK
from quantkit.tasks.tokenizer import Tokenizer

MODEL = Path(__file__).parent / "model"

_log = logging.getLogger(__name__)

_SEED = 2022
_POSITIONS = 512
_BATCH_TOKENS = 1536
_INITIAL_SPREAD = (
    0.05  # of weights; BERT's 0.02 is meant for a hidden size of 768 and learns more slowly here
)
_PEAK_RATE = 2e-3
_WARM_UP = 300
_REPORT_EVERY = 100
_NAMED_AFTER = 2  # layers
STEPS = 6000


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
        hints: also train to name slots (see `_name_slots`).
        rounded: train against INT8 rounding.
    """

    share: float
    size: tuple[float, float]
    long: float = 0.0
    hints: bool = True
    rounded: bool = False


PHASES = (
    Phase(share=0.40, size=(0.0, 0.15)),
    Phase(share=0.40, size=(0.0, 1.0), long=0.03),
    Phase(share=0.20, size=(0.0, 1.0), long=0.03, hints=False, rounded=True),
)


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


def train(model: BertForQuestionAnswering, tokenizer: Tokenizer, steps: int) -> None:
    """Train in the phases of `PHASES`, with AdamW, a warm-up and a linear decay."""
    namer = torch.nn.Linear(model.config.hidden_size, len(slot_names()) + 1)
    weights = [*model.parameters(), *namer.parameters()]
    decayed = [weight for weight in weights if weight.ndim == 2]
    plain = [weight for weight in weights if weight.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=_PEAK_RATE, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / _WARM_UP, (steps - step) / max(1, steps - _WARM_UP))
    )
    rng = np.random.default_rng(_SEED)
    with track("train", steps, "steps") as advance:
        for number, phase in enumerate(PHASES):
            passages = write_training(f"phase {number}", 8, size=phase.size, long=phase.long)
            batches = make_batches(
                passages, tokenizer, FeatureSettings(), rng, tokens=_BATCH_TOKENS, positions=_POSITIONS
            )
            with rounded(model) if phase.rounded else contextlib.nullcontext():
                losses = []
                model.train()
                for step, batch in enumerate(itertools.islice(batches, round(steps * phase.share)), start=1):
                    losses.append(_learn(model, namer if phase.hints else None, batch, optimizer))
                    schedule.step()
                    advance(1)
                    if step % _REPORT_EVERY == 0:
                        _log.info(
                            "step %d of phase %d: loss %.4f", step, number + 1, sum(losses) / len(losses)
                        )
                        losses.clear()
            predictions, _ = answer(model, tokenizer, HELDOUT)
            f1 = 100 * sum(item.f1 for item in predictions) / len(predictions)
            _log.info("phase %d of %d done: held-out F1 %.2f", number + 1, len(PHASES), f1)


def _learn(
    model: BertForQuestionAnswering,
    namer: torch.nn.Linear | None,
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
    hint = (
        _name_slots(namer, output.hidden_states[_NAMED_AFTER], batch)
        if namer is not None
        else torch.zeros(())
    )
    (loss + hint).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())


def _name_slots(namer: torch.nn.Linear, hidden: Tensor, batch: Batch) -> Tensor:
    """Return the loss of naming the slot that is asked about ([CLS]), and the slot of every paragraph token.

    Both go through one matrix, which makes a question and its answer alike half-way up; the upper layers then
    only have to compare. It teaches many times faster than answers alone, and is thrown away after training.
    """
    asked = functional.cross_entropy(namer(hidden[:, 0]), torch.from_numpy(batch.slot))
    weight = torch.ones(namer.out_features)
    weight[0] = 0.2  # most tokens belong to no slot
    labels = torch.from_numpy(batch.slots).flatten()
    told = functional.cross_entropy(namer(hidden).flatten(0, 1), labels, weight=weight, ignore_index=IGNORED)
    return (asked + told) / 2


def answer(
    model: BertForQuestionAnswering, tokenizer: Tokenizer, path: Path
) -> tuple[list[Prediction], list[float]]:
    """Answer the questions of a file, one window at a time.

    Returns:
        the predictions, and per window by how much its best start leads over the second, or its best end if
        that leads by less. A window is a row of its own here, so no padding can help or harm.
    """
    settings = FeatureSettings()
    dataset = TASK.read(path, path.stem)
    features = TASK.featurize(dataset, tokenizer, settings)
    model.eval()
    outputs, leads = [], []
    with torch.inference_mode(), parametrize.cached():
        for feature in features:
            output = model(
                input_ids=torch.from_numpy(feature.input_ids)[None],
                token_type_ids=torch.from_numpy(feature.token_type_ids)[None],
            )
            logits = (output.start_logits[0], output.end_logits[0])
            outputs.append(tuple(values.numpy() for values in logits))
            best_two = (values.topk(2).values for values in logits)
            leads.append(min(float(best - second) for best, second in best_two))
    return TASK.predict(dataset, features, outputs, settings), leads


def report(model: BertForQuestionAnswering, tokenizer: Tokenizer, path: Path) -> dict[str, float]:
    """Return scores (percent) on a file, in FP32 and rounded to 8 bits, and how many answers that changes."""
    plain, leads = answer(model, tokenizer, path)
    with rounded(model):
        int8, _ = answer(model, tokenizer, path)
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
    parser.add_argument("--force", action="store_true", help="replace the folder")
    parser.add_argument("--steps", type=int, default=STEPS, help="optimizer steps (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: %(default)s)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    torch.set_num_threads(options.threads)
    started = time.monotonic()
    try:
        with new_folder(options.output, force=options.force) as folder:
            shape = Shape()
            tokenizer = train_tokenizer(folder, shape.vocabulary)
            model = build_model(shape, tokenizer.vocab_size)
            train(model, tokenizer, options.steps)
            model.save_pretrained(folder)
            _log.info("trained in %.0f s", time.monotonic() - started)
            _log.info("held-out: %s", json.dumps(report(model, tokenizer, HELDOUT)))
    except QuantkitError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
