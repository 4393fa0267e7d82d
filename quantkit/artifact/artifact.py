"""The artifact folder: opened with every byte checked, made whole or not at all."""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from quantkit.artifact.manifest import (
    NAME,
    REPORTS,
    Manifest,
    StageRecord,
    content_files,
    files_digest,
    hash_files,
)
from quantkit.errors import ArtifactError, ArtifactReplaced, OutputError
from quantkit.files import inside, is_read_only, new_folder, sha256_bytes, write_bytes, write_json, write_text
from quantkit.strict_json import parse_json

_LOG = logging.getLogger(__name__)
MODEL = "model.onnx"
EXTERNAL_DATA = "model.onnx.data"
CALIBRATION = "calibration.json"
# Files of a checkpoint that travel with the model: what a server needs to make features and read answers.
COMPANIONS = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """An artifact on disk. `digest` is its identity; reports in `reports/` come later and do not change it.

    Attributes:
        path: the folder its files are read from.
        manifest: as it was when the artifact was opened.
        origin: of a private copy (`quantkit.artifact.snapshot`) the artifact's own folder, where its reports are.
    """

    path: Path
    manifest: Manifest
    origin: Path | None = None

    @classmethod
    def open(cls, path: Path | str, *, check: bool = True) -> Self:
        """Open an artifact, hashing every file unless `check` is False.

        Raises:
            ArtifactError: it is not an artifact, or a byte is not what the manifest says.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise ArtifactError(f"{folder}: no such artifact folder; make one with `quantkit export`")
        manifest = Manifest.read(folder)
        if check:
            manifest.check_files(folder)
        if MODEL not in manifest.files:
            raise ArtifactError(f"{folder}: holds no {MODEL}; make the artifact again")
        return cls(path=folder, manifest=manifest)

    def opened_again(self) -> Self:
        """Open the folder anew, every byte hashed.

        Raises:
            ArtifactError: it is another artifact now, or a byte is not what the manifest says.
        """
        again = type(self).open(self.place)
        if again.manifest != self.manifest:
            raise ArtifactError(f"{self.place}: was replaced after it was opened; run again")
        return again

    @property
    def place(self) -> Path:
        """The artifact's own folder, which people know it by."""
        return self.origin or self.path

    @property
    def model_name(self) -> str:
        """What messages call the model."""
        return str(self.place / MODEL)

    @property
    def digest(self) -> str:
        """The artifact's identity, 64 hexadecimal digits."""
        return self.manifest.digest

    @property
    def task(self) -> str:
        """The name of the task the model was made for."""
        return self.manifest.task

    @property
    def model_path(self) -> Path:
        """Where `model.onnx` is."""
        return self.path / MODEL

    @property
    def model_bytes(self) -> int:
        """Size of the model in bytes, every file of external data included."""
        return sum(record.size for name, record in self.manifest.files.items() if is_weights(name))

    @property
    def config(self) -> dict[str, Any]:
        """The checkpoint's `config.json`."""
        return self.read_json("config.json")

    def read_json(self, name: str) -> dict[str, Any]:
        """Read one JSON object of the artifact.

        Raises:
            ArtifactError: the file is missing, is not what the manifest says, or is not a JSON object.
        """
        path = inside(self.path, name)
        record = self.manifest.files.get(name)
        try:
            read = path.read_bytes() if record else b""
        except OSError:
            record = None
        if record is None:
            raise ArtifactError(f"{path}: is missing; the artifact is not whole, make or pull it again")
        if sha256_bytes(read) != record.sha256:
            raise ArtifactError(f"{path}: was changed or replaced after it was opened; run again")
        try:
            content = parse_json(read)
        except ValueError as error:
            raise ArtifactError(f"{path}: is not JSON ({error}); make the artifact again") from None
        if not isinstance(content, dict):
            raise ArtifactError(f"{path}: is not a JSON object; make the artifact again")
        return content

    def report_path(self, name: str) -> Path:
        """Return where the report `name` is kept, such as `reports/evaluation.json`."""
        return inside(self.place, f"{REPORTS}/{name}")

    def write_report(self, name: str, value: Any) -> Path:
        """Write a JSON report (text and bytes are written as they are) into the artifact, atomically.

        Raises:
            ArtifactReplaced: the folder holds another artifact than the one that was opened.
            OutputError: the disk is full, or there is no permission.
        """
        path = self.report_path(name)
        self._require_same(path)
        if isinstance(value, bytes):
            write_bytes(path, value)
        elif isinstance(value, str):
            write_text(path, value)
        else:
            write_json(path, value)
        return path

    def keep_report(self, name: str, value: Any) -> bool:
        """Write a report that its reader gets in any case; where it cannot be written, only warn.

        A published artifact's reports are sealed and stay as they are.

        Returns:
            Whether it was written.
        """
        if self.manifest.reports:
            return False
        try:
            self.write_report(name, value)
        except OutputError as error:
            _LOG.warning("%s is not kept in the artifact: %s", name, error)
            return False
        return True

    def _require_same(self, report: Path) -> None:
        try:
            same = (self.place / NAME).read_bytes() == self.manifest.serialized().encode()
        except OSError:
            same = False
        if not same:
            raise ArtifactReplaced(
                f"{report}: is not written: {self.place} was replaced after it was opened; run again"
            )


def is_weights(name: str) -> bool:
    """Tell whether a listed file is one of the model: all are but the tokenizer's, the configs and the calibration."""
    return name != CALIBRATION and name not in COMPANIONS


def is_not_kept(error: OutputError) -> bool:
    """Return whether a report cannot be in its artifact, which is read-only or another one by now."""
    return isinstance(error, ArtifactReplaced) or is_read_only(error)


def require_apart(out: Path, artifact: Artifact) -> None:
    """Check that a new artifact at `out` would not replace the one it is made from.

    Raises:
        OutputError: it would.
    """
    if out.resolve() == artifact.place.resolve():
        raise OutputError(f"{out}: is the artifact to work on, which must stay; choose another place with -o")


@dataclass(kw_only=True, slots=True)
class Draft:
    """An artifact being made, in a temporary folder. `record` must be called once, at the end."""

    path: Path
    recorded: bool = False

    @property
    def model_path(self) -> Path:
        """Where `model.onnx` belongs."""
        return self.path / MODEL

    def take_companions(self, source: Path, names: tuple[str, ...] = COMPANIONS) -> None:
        """Copy the tokenizer and config files that `source` has."""
        for name in names:
            if (source / name).is_file():
                shutil.copyfile(source / name, self.path / name)

    def record(
        self,
        *,
        task: str,
        architecture: str,
        precision: Literal["fp32", "int8"],
        stages: tuple[StageRecord, ...],
        parent: str | None,
    ) -> None:
        """Hash the folder's files and write the manifest."""
        files = hash_files(self.path, content_files(self.path))
        manifest = Manifest(
            digest=files_digest(files),
            task=task,
            architecture=architecture,
            precision=precision,
            parent=parent,
            files=files,
            stages=stages,
        )
        write_text(self.path / NAME, manifest.serialized())
        self.recorded = True


@contextlib.contextmanager
def new_artifact(path: Path, *, force: bool = False) -> Iterator[Draft]:
    """Yield a draft that becomes the artifact at `path` when the block ends well, and vanishes when it does not.

    Raises:
        OutputError: `path` is not free (see `quantkit.files.new_folder`) or is a published artifact, which
            `force` does not replace either; the disk is full, no permission.
        ArtifactError: the block ended without `Draft.record`.
    """
    with contextlib.suppress(ArtifactError):
        if Manifest.read(path).reports:
            raise OutputError(
                f"{path}: is a published artifact, which never changes; choose another place with -o"
            )
    with new_folder(path, force=force) as folder:
        draft = Draft(path=folder)
        yield draft
        if not draft.recorded:
            raise ArtifactError(f"{path}: the stage ended without recording what it made")
