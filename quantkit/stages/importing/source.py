"""What lies in a folder of another tool: the model, and the config and tokenizer beside it or in the folder above."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantkit.artifact.artifact import CALIBRATION, COMPANIONS, Artifact
from quantkit.artifact.foreign import onnx_files
from quantkit.artifact.manifest import NAME, SCHEMA, FileRecord, hash_files
from quantkit.errors import ArtifactError, UsageError
from quantkit.files import inside
from quantkit.runtime.model_files import external_files, read_graph
from quantkit.strict_json import read_json

CONFIG = "config.json"
# One of these makes a tokenizer; the other files say more about it, and belong to the folder it is in.
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """The files that become an artifact.

    Attributes:
        folder: what was given.
        model: the ONNX file.
        weights: files with external data of the model.
        companions: name in the artifact → file.
        former: the format of a manifest that is there but not read, such as an older version's; empty without.
    """

    folder: Path
    model: Path
    weights: tuple[Path, ...]
    companions: Mapping[str, Path]
    former: str = ""

    def files(self) -> dict[str, FileRecord]:
        """Return sha256 and size of each file, by its path from the folder."""
        found = {}
        for path in (self.model, *self.weights, *self.companions.values()):
            found[self.called(path)] = hash_files(path.parent, [path.name])[path.name]
        return found

    def called(self, path: Path) -> str:
        """Return a file's path from the folder; of one elsewhere only its folder's name and its own.

        Where things lie on this machine is nobody else's business.
        """
        place, folder = path.parent.resolve(), self.folder.resolve()
        if place.is_relative_to(folder):
            return (place.relative_to(folder) / path.name).as_posix()
        return f"../{place.name}/{path.name}"


def find_source(folder: Path, model: str | None = None, companions: str | None = None) -> Source:
    """Find the model and its companions.

    Args:
        folder: what another tool left.
        model: the ONNX file's path in it; None when there is only one.
        companions: where config and tokenizer are; None for beside the model, or in the folder above.

    Raises:
        ArtifactError: there is no such folder, or no model, config or tokenizer in it, or it is an artifact already.
        UsageError: there are several models and none was named, or not one of them.
    """
    if folder.is_file():
        raise ArtifactError(f"{folder}: is a file; give its folder, and --model {folder.name}")
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such folder; give the one that holds the ONNX model")
    former = _former(folder)
    path = folder / _choose(folder, model)
    places = [Path(companions)] if companions else [path.parent, path.parent.resolve().parent]
    weights = sorted(external_files(read_graph(path)))
    return Source(
        folder=folder,
        model=path,
        weights=tuple(inside(path.parent, name) for name in weights),
        companions=_companions(places, folder) | _calibration(path.parent),
        former=former,
    )


def _former(folder: Path) -> str:
    """Return the format of the folder's manifest, empty when there is none.

    Raises:
        ArtifactError: it is today's: the folder is an artifact, or its manifest was copied beside another model.
    """
    path = folder / NAME
    if not path.is_file():
        return ""
    said = _json_object(path).get("schema")
    if said == SCHEMA:
        try:
            Artifact.open(folder)
        except ArtifactError as error:
            what, *_ = str(error).split(";")
            raise ArtifactError(
                f"{folder}: is not the artifact that its {NAME} is of ({what}); make or pull it again, "
                f"or remove {NAME} if a tool copied that beside a model of its own"
            ) from None
        raise ArtifactError(f"{folder}: is a quantkit artifact already; use it as it is")
    return said if isinstance(said, str) else "unknown"


def _choose(folder: Path, model: str | None) -> str:
    names = onnx_files(folder)
    if not names:
        raise ArtifactError(f"{folder}: holds no ONNX file, nor do the folders in it; give the one that does")
    if model is not None and model not in names:
        raise UsageError(f"--model {model}: is not in {folder}; it has {', '.join(names)}")
    if model is None and len(names) > 1:
        raise UsageError(
            f"{folder}: holds {len(names)} ONNX files ({', '.join(names)}); choose one with --model {names[0]}"
        )
    return model or names[0]


def _companions(places: list[Path], folder: Path) -> dict[str, Path]:
    """Return the config and the tokenizer's files, each from the nearest folder that has one.

    Raises:
        ArtifactError: there is no config, or no tokenizer.
    """
    config = next((place / CONFIG for place in places if (place / CONFIG).is_file()), None)
    home = next((place for place in places if any((place / name).is_file() for name in _TOKENIZERS)), None)
    if config is None or home is None:
        missing = CONFIG if config is None else f"tokenizer ({' or '.join(_TOKENIZERS)})"
        where = "beside the model or in the folder above" if len(places) > 1 else f"in {places[0]}"
        raise ArtifactError(
            f"{folder}: has no {missing} {where}; name the checkpoint's folder with --companions DIR"
        )
    found = {CONFIG: config}
    found |= {name: home / name for name in COMPANIONS if name != CONFIG and (home / name).is_file()}
    return found


def _calibration(place: Path) -> dict[str, Path]:
    """Return the table of an older folder of ours, which says which questions were calibrated on.

    Another tool's file of this name says something else.
    """
    path = place / CALIBRATION
    return {CALIBRATION: path} if isinstance(_json_object(path).get("ids"), list) else {}


def _json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, an empty one when it holds none."""
    try:
        value = read_json(path)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
