"""Tiny random checkpoints of the families beyond BERT's own, each with a tokenizer of its transformers class."""

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, processors, trainers

LAYERS = 2
POSITIONS = 512
CORPUS = ("who wrote the long letter ? ann wrote it on a cold day .", "it is 42 euros , said the agent .")
HEADS = {"squad": "ForQuestionAnswering", "text-classification": "ForSequenceClassification"}
OTHER_HEADS = {"token-classification": "ForTokenClassification"}
"""Heads that differ from those in nothing but the shape of what they give; they have tests of their own."""
USUAL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": POSITIONS,
}
ROBERTA = {**USUAL, "max_position_embeddings": POSITIONS + 2, "type_vocab_size": 1}
CONFIGS: dict[str, dict[str, Any]] = {
    "xlm-roberta": ROBERTA,
    "camembert": ROBERTA,
    "albert": {**USUAL, "num_hidden_layers": 4, "embedding_size": 16, "num_hidden_groups": 2},
    # As v3 is published; two layers of v2's convolution are in its own test.
    "deberta-v2": {
        **USUAL,
        "type_vocab_size": 0,
        "relative_attention": True,
        "max_relative_positions": -1,
        "position_buckets": 32,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
    },
    "modernbert": {**USUAL, "num_hidden_layers": 3, "local_attention": 16, "max_position_embeddings": 8192},
    "nomic_bert": USUAL,
    "mpnet": {**USUAL, "max_position_embeddings": POSITIONS + 2},
}


def pieces(*first: str) -> list[tuple[str, float]]:
    """Return the vocabulary of a unigram model: these tokens, then words, then letters."""
    words = sorted({f"▁{word}" for text in CORPUS for word in text.split()})
    letters = [*string.ascii_letters, *string.digits, *".,?!'", "▁"]
    plain = [entry for entry in (*words, *letters) if entry not in first]
    return [
        *((token, 0.0) for token in first),
        *((entry, -2.0 - 0.01 * at) for at, entry in enumerate(plain)),
    ]


def word_pieces(*first: str) -> dict[str, int]:
    """Return the vocabulary of a WordPiece model: these tokens, then letters."""
    letters = [*string.ascii_lowercase, *string.digits, *".,?!'"]
    return {token: at for at, token in enumerate([*first, *letters, *(f"##{one}" for one in letters)])}


def wordpiece(kind: str, *first: str) -> Callable[[], Any]:
    """Return what makes a tokenizer of one of transformers' WordPiece classes."""
    return lambda: getattr(pytest.importorskip("transformers"), kind)(vocab=word_pieces(*first))


def unigram(kind: str, *first: str) -> Callable[[], Any]:
    """Return what makes a tokenizer of one of transformers' unigram classes."""
    return lambda: getattr(pytest.importorskip("transformers"), kind)(vocab=pieces(*first))


def byte_level() -> Any:
    """Return a byte-level BPE with BERT's special tokens, as ModernBERT has it: saved as a tokenizer of no family."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    specials = ["[UNK]", "[CLS]", "[SEP]", "[MASK]", "[PAD]"]
    # As in the published tokenizer, whose special tokens have the highest ids.
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens(specials)
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=ends
    )
    roles = dict(zip(("unk", "cls", "sep", "mask", "pad"), specials, strict=True))
    return pytest.importorskip("transformers").PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **{f"{role}_token": token for role, token in roles.items()},
        model_input_names=["input_ids", "attention_mask"],
    )


TOKENIZERS: dict[str, Callable[[], Any]] = {
    "xlm-roberta": unigram("XLMRobertaTokenizer", "<s>", "<pad>", "</s>", "<unk>", "<mask>"),
    "camembert": unigram("CamembertTokenizer", "<s>", "<pad>", "</s>", "<unk>", "<mask>"),
    "albert": unigram("AlbertTokenizer", "<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"),
    "deberta-v2": unigram("DebertaV2Tokenizer", "[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"),
    "modernbert": byte_level,
    "nomic_bert": wordpiece("BertTokenizer", "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    "mpnet": wordpiece("MPNetTokenizer", "<s>", "<pad>", "</s>", "[UNK]", "<mask>"),
}


def write_checkpoint(folder: Path, family: str, task: str, **changes: Any) -> Path:
    """Write a checkpoint as transformers does, and return its folder.

    Args:
        folder: where.
        family: its model type.
        task: whose head it has.
        changes: to its config.
    """
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    tokenizer = TOKENIZERS[family]()
    tokenizer.save_pretrained(folder)
    ids = {
        f"{role}_token_id": getattr(tokenizer, f"{role}_token_id")
        for role in ("pad", "bos", "eos", "cls", "sep")
    }
    config = transformers.AutoConfig.for_model(
        family, **{"vocab_size": len(tokenizer), "num_labels": 2, **ids, **CONFIGS[family], **changes}
    )
    torch.manual_seed(7)
    model = getattr(transformers, f"AutoModel{(HEADS | OTHER_HEADS)[task]}").from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            # Biases of 0 and norms of 1 would hide a weight that was given the wrong name.
            wide = parameter.dim() == 1
            parameter.add_(0.1 * torch.randn_like(parameter)) if wide else parameter.normal_(std=0.2)
    model.save_pretrained(folder)
    return folder
