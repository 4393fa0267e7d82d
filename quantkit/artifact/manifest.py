"""The manifest: sha256 and size of every file, where the artifact came from, what each stage did.

`manifest.json` is written in one canonical form (sorted keys, two spaces of indentation) and carries its own
seal, so that a change of any byte is found when it is read.

* `digest` is the artifact's identity: sha256 of the canonical JSON of `files`. It covers the model, external
  data, tokenizer, config and calibration table, and neither the manifest nor `reports/` (where `recipe.yaml` is).
* `reports` is filled when an artifact is published: from then on its reports are hashed as well, under `seal`.
* `seal` is the sha256 of the canonical JSON of everything else in the manifest.
"""

import json
import os
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from quantkit.artifact.foreign import import_line
from quantkit.artifact.hub_files import hub_files
from quantkit.errors import ArtifactError
from quantkit.files import digest_of, inside, sha256_file
from quantkit.records.record import Record
from quantkit.strict_json import parse_json, read_limited

NAME = "manifest.json"
REPORTS = "reports"
# A signature over all other files, the manifest included; so the manifest cannot list it.
SIGNATURE = "model.sig"
SCHEMA = "quantkit/manifest/1"
Count = Annotated[int, Field(ge=0, le=1 << 31)]
Length = Annotated[int, Field(ge=1, le=1 << 31)]
LengthName = Literal["max_length", "doc_stride", "max_query_length", "n_best", "max_answer_length"]


class FileRecord(Record):
    """One file: its sha256 and its size in bytes."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class _Facts(BaseModel):
    """The facts that are read again later; all others are for people."""

    model_config = ConfigDict(strict=True, extra="allow")

    expected: dict[str, Count] = {}
    fused: dict[str, Count] = {}
    schemes: dict[str, Count] = {}
    kept_float: list[str] = []
    calibration: dict[str, Any] | None = None
    lengths: dict[LengthName, Length] = {}
    null_score_diff_threshold: float = Field(default=0.0, allow_inf_nan=False)


class StageRecord(Record):
    """What one stage did: its settings, what it found, what it cost, and with which tools on which CPU."""

    stage: str
    key: str = Field(
        default="", description="of its ingredients: inputs, settings, tool versions; what resuming compares"
    )
    settings: dict[str, Any] = {}
    facts: dict[str, Any] = {}
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    tools: dict[str, str] = {}
    cpu: dict[str, Any] = {}

    @field_validator("facts")
    @classmethod
    def _check(cls, facts: dict[str, Any]) -> dict[str, Any]:
        _Facts.model_validate(facts)
        return facts


class Manifest(Record):
    """The content of `manifest.json`; see the module's docstring."""

    format: Literal["quantkit/manifest/1"] = Field(default="quantkit/manifest/1", alias="schema")
    digest: str
    task: str
    architecture: str
    precision: Literal["fp32", "int8"]
    parent: str | None = None
    files: dict[str, FileRecord]
    reports: dict[str, FileRecord] = {}
    stages: tuple[StageRecord, ...] = ()

    def stage(self, name: str) -> StageRecord | None:
        """Return the last record of the stage `name`, or None when the artifact never went through it."""
        return next((record for record in reversed(self.stages) if record.stage == name), None)

    @property
    def expected_fusions(self) -> dict[str, int]:
        """Operator → how often the last stage that knew the architecture said it must be there; empty when none did."""
        known = [record.facts["expected"] for record in self.stages if "expected" in record.facts]
        return dict(known[-1]) if known else {}

    @property
    def lengths(self) -> dict[str, int]:
        """How long rows and answers are, by name (`quantkit.tasks.lengths`); empty for the defaults."""
        known = [record.facts["lengths"] for record in self.stages if "lengths" in record.facts]
        return dict(known[-1]) if known else {}

    @property
    def null_score_diff_threshold(self) -> float:
        """By how much no answer must be above the best one to be given (`quantkit.tasks.task.WindowSettings`)."""
        name = "null_score_diff_threshold"
        known = [record.facts[name] for record in self.stages if name in record.facts]
        return float(known[-1]) if known else 0.0

    def serialized(self) -> str:
        """Return the text of `manifest.json`, seal included."""
        content = self.model_dump(mode="json", by_alias=True)
        content["seal"] = digest_of(content)
        return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read and check `manifest.json`: its form, its seal, its digest and that no path leaves the folder.

        Raises:
            ArtifactError: there is none, it was changed, or it is of another format version.
        """
        try:
            manifest = cls.read_file(folder / NAME)
        except FileNotFoundError:
            line = import_line(folder)
            how = (
                f"what another tool made is imported: `{line}`" if line else "make one with `quantkit export`"
            )
            raise ArtifactError(f"{folder}: not a quantkit artifact: no {NAME}; {how}") from None
        for name in (*manifest.files, *manifest.reports):
            inside(folder, name)
        return manifest

    @classmethod
    def read_file(cls, path: Path) -> Self:
        """Read and check a manifest wherever it is, such as that of a baseline which is not there itself.

        Raises:
            FileNotFoundError: there is no such file.
            ArtifactError: it was changed, or it is of another format version.
        """
        try:
            text = read_limited(path).decode("utf-8")
            content = parse_json(text)
        except FileNotFoundError:
            raise
        except ValueError as error:
            raise ArtifactError(
                f"{path}: was changed or is truncated ({error}); make the artifact again"
            ) from None
        except OSError as error:
            raise ArtifactError(f"{path}: cannot be read: {error.strerror}") from None
        if not isinstance(content, dict):
            raise ArtifactError(f"{path}: is not a manifest; make the artifact again")
        if content.get("schema") != SCHEMA:
            raise ArtifactError(
                f"{path}: format {content.get('schema')!r} is not {SCHEMA}; use the matching quantkit, "
                "or `quantkit import`"
            )
        content.pop("seal", None)
        try:
            manifest = cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise ArtifactError(
                f"{path}: was changed: {where}: {first['msg']}; make the artifact again"
            ) from None
        if manifest.serialized() != text:
            raise ArtifactError(f"{path}: was changed after it was sealed; make the artifact again")
        if files_digest(manifest.files) != manifest.digest:
            raise ArtifactError(f"{path}: its digest is not that of its files; make the artifact again")
        return manifest

    def check_files(self, folder: Path) -> None:
        """Hash every listed file and compare.

        Raises:
            ArtifactError: a file is missing, has another size or other bytes, or one is there that is not listed.
        """
        listed = {**self.files, **self.reports}
        for name, record in listed.items():
            path = inside(folder, name)
            if not path.is_file():
                raise ArtifactError(f"{path}: is missing; the artifact is not whole, make or pull it again")
            size = path.stat().st_size
            if size != record.size or sha256_file(path) != record.sha256:
                raise ArtifactError(
                    f"{path}: its bytes are not those of the manifest; make or pull the artifact again"
                )
        for name in self.unlisted(folder):
            raise ArtifactError(
                f"{folder / name}: is not listed in the manifest; remove it or make the artifact again"
            )

    def unlisted(self, folder: Path) -> list[str]:
        """Return the names, sorted, of all that is in a folder and not listed: files, links, pipes, folders.

        Reports that are not sealed yet may be any, and the few files of the Hugging Face Hub may be there
        (`quantkit.artifact.hub_files`). Nothing is opened.
        """
        signature = (SIGNATURE,) if self.reports else ()
        listed = {NAME, *self.files, *self.reports, *signature, *hub_files(folder)}
        parents = {
            parent.as_posix() for name in (*listed, f"{REPORTS}/_") for parent in PurePosixPath(name).parents
        }
        found: list[str] = []
        for at, folders, files in os.walk(folder):
            above = Path(at).relative_to(folder)
            names = {name: (above / name).as_posix() for name in (*folders, *files)}
            known = [
                name for name in folders if names[name] in parents and not (Path(at) / name).is_symlink()
            ]
            found += [path for name, path in names.items() if path not in listed and name not in known]
            folders[:] = [name for name in known if self.reports or names[name] != REPORTS]
        return sorted(found)


def content_files(folder: Path) -> list[str]:
    """Return the names, sorted, of all files of an artifact but its manifest, its reports and its signature."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [name for name in names if name not in (NAME, SIGNATURE) and not name.startswith(f"{REPORTS}/")]


def hash_files(folder: Path, names: list[str]) -> dict[str, FileRecord]:
    """Return sha256 and size of each named file."""
    return {
        name: FileRecord(sha256=sha256_file(folder / name), size=(folder / name).stat().st_size)
        for name in names
    }


def files_digest(files: dict[str, FileRecord]) -> str:
    """Return the artifact digest: sha256 of the canonical JSON of {name: {sha256, size}}."""
    return digest_of({name: record.model_dump() for name, record in files.items()})
