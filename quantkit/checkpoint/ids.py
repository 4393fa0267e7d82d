"""Whether an artifact reads texts as transformers reads them: the same token ids for every text of a battery.

What a server tokenizes with is `quantkit.tasks.tokenizer`, which needs no transformers. A model was trained on the ids
of `AutoTokenizer`, which goes by tokenizer_config.json, by the tokenizer's class and by the files that happen to be
there. Wherever the two differ every score is wrong in the same way for the baseline and for the candidate, and no gate
sees it. So export compares them, where both are at hand.
"""

import itertools
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import transformers

from quantkit.artifact.artifact import COMPANIONS
from quantkit.checkpoint.load import LOAD_ERRORS, first_line, quiet_transformers
from quantkit.errors import CheckpointError
from quantkit.tasks.tokenizer import Tokenizer
from quantkit.tasks.tokenizer_errors import tokenizer_errors

CONFIG = "config.json"
TOKENIZER_JSON = "tokenizer.json"

# One kind of difference each: case, accents in one code or two, white space, punctuation, scripts, digits, control
# letters, what normalizers fold, and texts that look like special tokens.
_TEXTS = (
    "",
    " ",
    "a",
    "Where is the WHITE house?",
    "naïve café Ångström ǅ İstanbul straße",
    "cafe\u0301 A\u030angstro\u0308m",
    "two  spaces\ttab\nline\r\nend\u00a0no-break\u2003em\u3000wide ",
    " leading and trailing ",
    "isn't it? 'quoted' “curly” (1,234.56) e-mail@example.org http://a.b/c?d=e#f __x__ ## ##ing ...",
    "東京都に住む。한국어 텍스트 ภาษาไทย हिन्दी العربية עברית Ελληνικά Русский",
    "🙂 👩\u200d👩\u200d👧 🇩🇪 ✓ \ufe0f ½ ﬁ ① Ⅳ \uff46\uff55ll",
    "zero\u200bwidth soft\u00adhyphen \ufeffmark \x07bell \ufffd",
    "[CLS] [SEP] [PAD] [MASK] [UNK] <s> </s> <pad> <mask> <unk>",
    "before[SEP]after [sep] [ SEP ] x</s>y",
    "pneumonoultramicroscopicsilicovolcanoconiosis" * 5,
)
_SHOWN = 60
_SAMPLES = 64
_WORDS = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Ids:
    """What was compared.

    Attributes:
        tokenizer: the class of transformers.
        texts: rows compared, of one text and of pairs.
        tokens: the greatest id that transformers gives, plus 1.
        written: tokenizer.json as transformers reads the checkpoint's files, where they do not say it themselves.
    """

    tokenizer: str
    texts: int
    tokens: int
    written: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the facts of a stage record."""
        return {"class": self.tokenizer, "texts": self.texts, "rewritten": self.written is not None}


def compare_ids(folder: Path, *, token_types: bool) -> Ids:
    """Compare the ids that an artifact with a checkpoint's files would read with those of transformers.

    Where the files leave room (tokenizer.json says one thing and tokenizer_config.json another), a tokenizer.json that
    says what transformers does is tried in place of the folder's own.

    Args:
        folder: the checkpoint's.
        token_types: the model tells first and second texts apart, so their types are compared too.

    Raises:
        CheckpointError: transformers cannot read the tokenizer, or reads some text otherwise, whatever is tried.
    """
    theirs = _their_tokenizer(folder)
    name = type(theirs).__name__
    backend = getattr(theirs, "backend_tokenizer", None)
    if backend is None:
        raise CheckpointError(
            f"{folder}: its tokenizer is a {name}, which reads texts by code of its own; quantkit reads those that "
            "fit in a tokenizer.json"
        )
    tokens = max(theirs.get_vocab().values(), default=-1) + 1
    rows = list(_rows(theirs))
    wrong = _first_difference(Tokenizer.load(folder), theirs, rows, token_types=token_types)
    if wrong is None:
        return Ids(tokenizer=name, texts=len(rows), tokens=tokens)
    written = backend.to_str()
    with tempfile.TemporaryDirectory(prefix="quantkit-tokenizer-") as tried:
        for companion in COMPANIONS:
            if (folder / companion).is_file():
                shutil.copyfile(folder / companion, Path(tried) / companion)
        (Path(tried) / TOKENIZER_JSON).write_text(written, encoding="utf-8")
        left = _first_difference(Tokenizer.load(Path(tried)), theirs, rows, token_types=token_types)
    if left is not None:
        _refuse(folder, name, left)
    return Ids(tokenizer=name, texts=len(rows), tokens=tokens, written=written)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Difference:
    """A row that two tokenizers read differently, and what each reads."""

    texts: tuple[str, ...]
    ours: list[int]
    theirs: list[int]
    what: str = "ids"


def _their_tokenizer(folder: Path) -> Any:
    with quiet_transformers():
        if (folder / CONFIG).is_file():
            try:
                transformers.AutoConfig.from_pretrained(
                    folder, local_files_only=True, trust_remote_code=False
                )
            except LOAD_ERRORS as error:
                raise CheckpointError(
                    f"{folder / CONFIG}: transformers cannot read it ({first_line(error)}); mend the file"
                ) from error
        try:
            return transformers.AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except (*LOAD_ERRORS, ImportError) as error:
            raise CheckpointError(
                f"{folder}: transformers cannot read its tokenizer ({first_line(error)}); copy its files again"
            ) from error


def _rows(theirs: Any) -> Iterator[tuple[str, ...]]:
    """Return the texts to compare, alone and as pairs: the fixed ones, each added token in a text, and vocabulary."""
    texts = list(_TEXTS)
    texts += [
        form
        for token in sorted(theirs.get_added_vocab())
        for form in (f"a {token} b", f"a{token}b", f"{token.lower()} {token.upper()}")
    ]
    words = sorted(theirs.get_vocab())
    picked = np.random.default_rng(0).choice(len(words), size=(_SAMPLES, _WORDS))
    texts += [" ".join(words[at] for at in row) for row in picked]
    texts += ["".join(words[at].removeprefix("##") for at in row[:8]) for row in picked]
    yield from ((text,) for text in texts)
    yield from itertools.pairwise(texts)


def _first_difference(
    ours: Tokenizer, theirs: Any, rows: Sequence[tuple[str, ...]], *, token_types: bool
) -> _Difference | None:
    encoded = iter(ours.encode_ids([text for row in rows for text in row]))
    advice = "check tokenizer_config.json, or save the tokenizer again"
    with (
        quiet_transformers(),
        tokenizer_errors(ours.folder, "transformers cannot read texts with it", advice),
    ):
        read = [theirs(*row, return_token_type_ids=token_types) for row in rows]
    for row, wanted in zip(rows, read, strict=True):
        ids, types = ours.row(*(next(encoded) for _ in row))
        if ids.tolist() != wanted["input_ids"]:
            return _Difference(texts=row, ours=ids.tolist(), theirs=wanted["input_ids"])
        if token_types and types.tolist() != wanted["token_type_ids"]:
            found, right = types.tolist(), wanted["token_type_ids"]
            return _Difference(texts=row, ours=found, theirs=right, what="token types")
    padding = theirs.pad_token_id
    if padding is not None and padding != ours.pad_id:
        return _Difference(texts=("padding",), ours=[ours.pad_id], theirs=[padding])
    return None


def _refuse(folder: Path, name: str, found: _Difference) -> NoReturn:
    at = next(
        (
            index
            for index, (one, other) in enumerate(itertools.zip_longest(found.ours, found.theirs))
            if one != other
        ),
        0,
    )
    shown = " | ".join(found.texts)
    raise CheckpointError(
        f"{folder}: transformers' {name} reads {shown[:_SHOWN]!r} as other {found.what} than its files say "
        f"({found.theirs[at : at + 3]} and {found.ours[at : at + 3]} from token {at}); save the tokenizer again with "
        "the version of transformers that is installed"
    )
