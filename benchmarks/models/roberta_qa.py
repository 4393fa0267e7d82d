"""Makes a small RoBERTa for question answering, with a byte-level BPE tokenizer of its own.

    python benchmarks/models/roberta_qa.py -o roberta
    quantkit export roberta -o roberta-fp32
    quantkit quantize roberta-fp32 -o roberta-int8 --calib calibration/callcentre/calibration.json
    quantkit evaluate roberta-int8 --data quantkit/quickstart/data/callcentre-heldout.json

It is for what BERT checkpoints do not show: tokens that own the space before them, `</s></s>` between question and
passage, positions that begin at 2 (the padding id + 1, so a table of 514 holds 512), and no token types. It reads the
call-centre passages of the quickstart.

The quickstart's checkpoint took three quarters of an hour from nothing. So encoder, head and positions start from it
(`--start`), and each token of the new vocabulary from the mean of the pieces that the old tokenizer cuts it into.
What must be learned anew: capitals, spaces, and which tokens are the question, as token types no longer tell.
Unlike the quickstart it is not trained against rounding. It takes about six minutes of one processor.

One seed, one thread and one version of torch give the same weights on the same kind of machine. No held-out question
is trained on.
"""

import argparse
import itertools
import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import ByteLevelBPETokenizer
from tokenizers.decoders import ByteLevel
from transformers import (
    BertForQuestionAnswering,
    RobertaConfig,
    RobertaForQuestionAnswering,
    RobertaTokenizerFast,
)

from quantkit.errors import QuantkitError
from quantkit.files import new_folder
from quantkit.progress import track
from quantkit.quickstart.generate import HELDOUT, slot_names, write_training
from quantkit.quickstart.labelled import Batch, make_batches
from quantkit.quickstart.train import MODEL, Hints, answer, learn
from quantkit.quickstart.values import name_words
from quantkit.tasks import WindowSettings
from quantkit.tasks.tokenizer import Tokenizer

_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_PAD = 1
_OFFSET = _PAD + 1  # of positions
_POSITIONS = 512
_VOCABULARY = 2500
_BATCH_TOKENS = 1536
_PEAK_RATE = 1e-3
_WARM_UP = 100
_REPORT_EVERY = 100
_SPACE = "\u0120"  # how byte-level BPE writes a space

_log = logging.getLogger("roberta_qa")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The command line."""

    output: Path
    start: Path
    steps: int
    seed: int
    threads: int
    force: bool


def read_options(arguments: Sequence[str] | None) -> Options:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the checkpoint folder to write")
    parser.add_argument("--start", type=Path, default=MODEL, help="BERT checkpoint to start from")
    parser.add_argument("--steps", type=int, default=2000, help="optimizer steps (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=2022, help="of order and positions (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="replace the folder")
    return Options(**vars(parser.parse_args(arguments)))


def train_tokenizer(folder: Path, passages: int = 4000) -> Tokenizer:
    """Learn a byte-level BPE vocabulary from generated passages and save its files into a folder."""
    learner = ByteLevelBPETokenizer()
    learner.train_from_iterator(
        _sample_texts(passages),
        vocab_size=_VOCABULARY,
        min_frequency=3,
        special_tokens=list(_SPECIAL),
        show_progress=False,
    )
    model = json.loads(learner.to_str())["model"]
    RobertaTokenizerFast(
        vocab=model["vocab"],
        merges=[tuple(pair) for pair in model["merges"]],
        model_max_length=_POSITIONS,
    ).save_pretrained(folder)
    return Tokenizer.load(folder)


def _sample_texts(passages: int) -> Iterator[str]:
    """Yield training texts without names and long numbers, which the vocabulary shall have to cut into pieces."""
    names = name_words()
    for passage in itertools.islice(write_training("vocabulary", 6), passages):
        for text in (passage.context, *(question.question for question in passage.questions)):
            kept = (word for word in text.split(" ") if not _is_rare(word, names))
            yield " ".join(kept)


def _is_rare(word: str, names: set[str]) -> bool:
    letters = "".join(character for character in word if character.isalpha()).lower()
    return letters.removesuffix("s") in names or letters in names or sum(map(str.isdigit, word)) > 2


def build_model(start: Path, tokenizer: Tokenizer) -> RobertaForQuestionAnswering:
    """Return a RoBERTa with the weights of a BERT, its tokens and positions translated."""
    old = BertForQuestionAnswering.from_pretrained(start, use_safetensors=True)
    shape = old.config
    config = RobertaConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.num_hidden_layers,
        num_attention_heads=shape.num_attention_heads,
        intermediate_size=shape.intermediate_size,
        max_position_embeddings=_POSITIONS + _OFFSET,
        type_vocab_size=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        layer_norm_eps=1e-5,
        pad_token_id=_PAD,
        bos_token_id=0,
        eos_token_id=2,
    )
    model = RobertaForQuestionAnswering(config)
    model.roberta.encoder.load_state_dict(old.bert.encoder.state_dict())
    model.qa_outputs.load_state_dict(old.qa_outputs.state_dict())
    before, after = old.bert.embeddings, model.roberta.embeddings
    after.LayerNorm.load_state_dict(before.LayerNorm.state_dict())
    with torch.no_grad():
        types = before.token_type_embeddings.weight
        after.token_type_embeddings.weight.copy_(types[1:])  # a passage's: most tokens belong to one
        after.position_embeddings.weight[:_OFFSET].zero_()
        after.position_embeddings.weight[_OFFSET:].copy_(before.position_embeddings.weight)
        after.word_embeddings.weight.copy_(_translate(before.word_embeddings.weight, start, tokenizer))
    return model


def _translate(words: torch.Tensor, start: Path, tokenizer: Tokenizer) -> torch.Tensor:
    """Return an embedding [new vocabulary, hidden] for each token from what the old tokenizer makes of it."""
    old = Tokenizer.load(start)
    vocabulary = (start / "vocab.txt").read_text(encoding="utf-8").split("\n")
    numbers = {word: index for index, word in enumerate(vocabulary)}
    learned = RobertaTokenizerFast.from_pretrained(tokenizer.folder).get_vocab()
    table = words.mean(dim=0).repeat(tokenizer.vocab_size, 1)
    alike = {"<s>": "[CLS]", "</s>": "[SEP]", "<pad>": "[PAD]", "<unk>": "[UNK]", "<mask>": "[MASK]"}
    decoder = ByteLevel()
    for token, index in learned.items():
        if token in alike:
            table[index] = words[numbers[alike[token]]]
            continue
        text = decoder.decode([token])
        inner = not token.startswith(_SPACE) and text.isalpha() and text.islower()
        piece = numbers.get(f"##{text}") if inner else None
        ids = [piece] if piece is not None else old.encode_ids([text])[0].tolist()
        if ids:
            table[index] = words[ids].mean(dim=0)
    return table


def train(model: RobertaForQuestionAnswering, tokenizer: Tokenizer, steps: int, seed: int) -> None:
    """Train with AdamW, a warm-up and a linear decay, with the quickstart's hints in the first half."""
    torch.manual_seed(seed)
    hints = Hints(model.config.hidden_size, len(slot_names()))
    optimizer = torch.optim.AdamW(
        [*model.parameters(), *hints.parameters()], lr=_PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / _WARM_UP, (steps - step) / max(1, steps - _WARM_UP))
    )
    batches = make_batches(
        write_training(f"roberta {seed}", 8, size=(0.0, 0.8), long=0.02),
        tokenizer,
        WindowSettings(),
        np.random.default_rng(seed),
        tokens=_BATCH_TOKENS,
        positions=_POSITIONS,
    )
    model.train()
    losses = []
    with track("train", steps, "steps") as advance:
        for step, batch in enumerate(itertools.islice(batches, steps), start=1):
            losses.append(learn(model, hints if step <= steps // 2 else None, _for_roberta(batch), optimizer))
            schedule.step()
            advance(1)
            if step % _REPORT_EVERY == 0:
                _log.info("step %d: loss %.4f", step, sum(losses) / len(losses))
                losses.clear()


def _for_roberta(batch: Batch) -> Batch:
    """Return the batch as RoBERTa counts: positions begin behind the padding id, and there is one token type."""
    return replace(
        batch,
        position_ids=batch.position_ids + _OFFSET,
        token_type_ids=np.zeros_like(batch.token_type_ids),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, save and report; return the exit code."""
    options = read_options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    torch.set_num_threads(options.threads)
    started, cpu_started = time.monotonic(), time.process_time()
    try:
        with new_folder(options.output, force=options.force) as folder:
            tokenizer = train_tokenizer(folder)
            model = build_model(options.start, tokenizer)
            train(model, tokenizer, options.steps, options.seed)
            model.save_pretrained(folder)
            seconds, cpu = time.monotonic() - started, time.process_time() - cpu_started
            _log.info("trained in %.0f s, %.0f s of them on a processor", seconds, cpu)
            predictions, _ = answer(model, tokenizer, HELDOUT)
            f1 = 100 * sum(item.f1 for item in predictions) / len(predictions)
            _log.info("held-out: F1 %.3f on %d questions", f1, len(predictions))
    except QuantkitError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
