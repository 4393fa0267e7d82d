"""Datasets that have a name, and the sha256 that proves them: a name belongs to these bytes and to no others."""

from dataclasses import dataclass
from pathlib import Path

import quantkit


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownFile:
    """A public file and the proof of its bytes.

    Attributes:
        folder: the folder it is looked for in, and kept in under the cache.
        file: its name.
        address: where it is downloaded from.
        sha256: of its bytes.
        size: in bytes.
    """

    folder: str
    file: str
    address: str
    sha256: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownDataset:
    """A dataset that has a name.

    Attributes:
        task: the task that reads it.
        source: the public file, or the path of one that ships inside the package.
        sha256: of its bytes, which is the digest of the whole dataset.
        questions: how many examples it has.
    """

    task: str
    source: KnownFile | Path
    sha256: str
    questions: int


_SQUAD_ADDRESS = "https://rajpurkar.github.io/SQuAD-explorer/dataset"
_DEV = KnownFile(
    folder="squad",
    file="dev-v1.1.json",
    address=f"{_SQUAD_ADDRESS}/dev-v1.1.json",
    sha256="95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9",
    size=4_854_279,
)
_TRAIN = KnownFile(
    folder="squad",
    file="train-v1.1.json",
    address=f"{_SQUAD_ADDRESS}/train-v1.1.json",
    sha256="3527663986b8295af4f7fcdff1ba1ff3f72d07d61a20f487cb238a6ef92fd955",
    size=30_288_272,
)

_OURS = Path(quantkit.__file__).parent / "quickstart" / "data"


def _small(task: str, file: str, sha256: str, questions: int) -> KnownDataset:
    return KnownDataset(task=task, source=_OURS / file, sha256=sha256, questions=questions)


DATASETS = {
    "squad": KnownDataset(task="squad", source=_DEV, sha256=_DEV.sha256, questions=10_570),
    "squad-train": KnownDataset(task="squad", source=_TRAIN, sha256=_TRAIN.sha256, questions=87_599),
    "callcentre": KnownDataset(
        task="squad",
        source=_OURS / "callcentre-heldout.json",
        sha256="5c7be20352fb133b45c6f21c9101dd4b268188a163262f56377259e978a9151e",
        questions=501,
    ),
    "callcentre-departments": _small(
        "text-classification",
        "callcentre-departments.json",
        "a99a4805d730b4e880f56997135a473844d72239a530943a353b9944d7a10cf3",
        64,
    ),
    "callcentre-details": _small(
        "multi-label-classification",
        "callcentre-details.json",
        "b5ec9907f9059f4534412518a124013762a5a425ea0134c764f687c85423b33a",
        64,
    ),
    "callcentre-lengths": _small(
        "text-regression",
        "callcentre-lengths.json",
        "06e80ae8d2207dd16d581ab78de97565dea5ad419ccf5e0a320c09b8245974a1",
        64,
    ),
    "callcentre-passages": _small(
        "reranking",
        "callcentre-passages.json",
        "82607ec8cb0d8ab91714923c5c41e9b37ab547f1e2f2ff704c30857aade6df8c",
        31,
    ),
    "callcentre-names": _small(
        "token-classification",
        "callcentre-names.txt",
        "aef9735bf0eaf0246c3a0bdfc8750d81a8bf0af785d7238512020249d96a1c06",
        64,
    ),
    "callcentre-pairs": _small(
        "sentence-similarity",
        "callcentre-pairs.json",
        "3d1571cd9e9b87ba7bfa666d44c6c823b421c31a415bd5f6cf8020db0419734d",
        128,
    ),
}
"""Name -> dataset. SQuAD v1.1 is by Rajpurkar et al. 2016, CC BY-SA 4.0."""


def own_name(name: str, digest: str) -> str:
    """Return what a file of this name may be called: a known name is kept for the bytes it is pinned to.

    Args:
        name: the file's stem.
        digest: sha256 of its bytes.
    """
    known = DATASETS.get(name)
    return name if known is None or known.sha256 == digest else f"{name}-{digest[:12]}"


def by_digest(digest: str) -> KnownDataset | None:
    """Return the known dataset whose bytes have this sha256."""
    return next((known for known in DATASETS.values() if known.sha256 == digest), None)
