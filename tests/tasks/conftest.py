"""Tiny tokenizers in folders, as checkpoints hold them, and files in SQuAD format."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, processors, trainers

from quantkit.tasks.tokenizer import Tokenizer

CORPUS = [
    "Who wrote the long letter? Ann wrote the long letter in Köln, on a cold day.",
    "What is the price? The price is 42 euros and 50 cents, said the agent of the call centre.",
    "naïve café résumé — “quoted” text with emoji 😀 and 日本語.",
] * 4


@pytest.fixture(scope="session")
def wordpiece_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a BERT checkpoint's tokenizer files: vocab.txt only, lower case."""
    folder = tmp_path_factory.mktemp("wordpiece")
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789.,?!:-'")
    tokens = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(f"##{letter}" for letter in letters),
    ]
    tokens += ["who", "wrote", "the", "long", "letter", "price", "is", "##ter", "##ing"]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    config = {"model_type": "bert", "type_vocab_size": 2, "vocab_size": len(tokens)}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def byte_level_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a RoBERTa checkpoint's tokenizer.json with a truncation and a padding of its own."""
    folder = tmp_path_factory.mktemp("byte_level")
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False)
    tokenizer.enable_truncation(max_length=8)
    tokenizer.enable_padding(length=16, pad_id=1, pad_token="<pad>")
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"model_type": "roberta", "type_vocab_size": 1, "max_position_embeddings": 514}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def wordpiece(wordpiece_folder: Path) -> Tokenizer:
    """Return the tiny WordPiece tokenizer."""
    return Tokenizer.load(wordpiece_folder)


@pytest.fixture(scope="session")
def byte_level(byte_level_folder: Path) -> Tokenizer:
    """Return the tiny byte-level BPE tokenizer."""
    return Tokenizer.load(byte_level_folder)


@pytest.fixture
def write_squad(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes paragraphs `{context: {question: [answers]}}` as one article."""

    def write(paragraphs: dict[str, dict[str, list[str]]], name: str = "questions.json") -> Path:
        rows: list[dict[str, Any]] = []
        for context, questions in paragraphs.items():
            qas = [
                {
                    "id": f"q{len(rows)}-{number}",
                    "question": question,
                    "answers": [{"text": gold, "answer_start": max(0, context.find(gold))} for gold in golds],
                }
                for number, (question, golds) in enumerate(questions.items())
            ]
            rows.append({"context": context, "qas": qas})
        path = tmp_path / name
        content = {"version": "1.1", "data": [{"title": "An article", "paragraphs": rows}]}
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    return write
