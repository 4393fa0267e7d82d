"""The artifacts that are compared, and making those that are a peer's."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from environments import HERE, Environment, PeerFailed
from rows import Cost

from quantkit.artifact import Artifact
from quantkit.files import digest_of, sha256_file, write_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """One way of another tool.

    Attributes:
        name: what the table calls it.
        environment: stem of its file in `requirements/`.
        script: under this folder.
        artifact: the script's `--artifact`.
        output: name of the file it writes.
        runtime: what runs it.
        from_checkpoint: it reads the PyTorch checkpoint, so it runs only when that is given.
    """

    name: str
    environment: str
    script: str
    artifact: str
    output: str = "model.onnx"
    runtime: str = "onnxruntime"
    from_checkpoint: bool = False

    @property
    def slug(self) -> str:
        """Name of its folder."""
        return f"{self.environment}-{Path(self.script).stem}-{self.artifact}"


PEERS = (
    Peer(
        name="onnxruntime quantize_dynamic, defaults",
        environment="onnxruntime",
        script="quantizers/ort.py",
        artifact="dynamic",
    ),
    Peer(
        name="onnxruntime quantize_static, defaults",
        environment="onnxruntime",
        script="quantizers/ort.py",
        artifact="static",
    ),
    Peer(
        name="onnxruntime quantize_static, tuned by hand",
        environment="onnxruntime",
        script="quantizers/ort.py",
        artifact="tuned",
    ),
    Peer(
        name="neural-compressor 3.7.1 dynamic, defaults",
        environment="neural-compressor",
        script="quantizers/inc.py",
        artifact="dynamic",
    ),
    Peer(
        name="neural-compressor 3.7.1 static, defaults",
        environment="neural-compressor",
        script="quantizers/inc.py",
        artifact="static",
    ),
    Peer(
        name="neural-compressor 3.10 static in PyTorch, exported by torch",
        environment="neural-compressor-pytorch",
        script="quantizers/inc_pytorch.py",
        artifact="static",
        from_checkpoint=True,
    ),
    Peer(
        name="NNCF 3.4 INT8, TRANSFORMER",
        environment="openvino",
        script="quantizers/nncf_int8.py",
        artifact="ir",
        output="model.xml",
        runtime="openvino",
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """An artifact that is there: its file, what it took, and all its files' bytes."""

    name: str
    runtime: str
    model: Path
    cost: Cost | None
    size_mb: float

    @property
    def key(self) -> str:
        """A name of its own in one comparison: an artifact may run in both runtimes."""
        return f"{self.name} ({self.runtime})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What every peer quantizes, and on what it calibrates.

    Attributes:
        exported: the FP32 artifact, not fused.
        calibration: .npz with the calibration rows.
        checkpoint: folder of the PyTorch checkpoint, None for none.
        work: folder for what is made.
        timeout: seconds a quantization may take.
    """

    exported: Artifact
    calibration: Path
    checkpoint: Path | None
    work: Path
    timeout: float


def make(peer: Peer, task: Task, environment_of: Callable[[str], Environment]) -> Made:
    """Return a peer's artifact, made unless it was made of the same things before.

    Raises:
        PeerFailed: its environment cannot be built, or its script failed.
    """
    environment = environment_of(peer.environment)
    folder = task.work / "artifacts" / peer.slug
    model, record = folder / peer.output, folder / "cost.json"
    files = (HERE / peer.script, HERE / "quantizers" / "measured.py", task.calibration)
    key = digest_of(
        {
            "peer": asdict(peer),
            "source": task.exported.digest,
            "environment": str(environment.python),
            "files": [sha256_file(path) for path in files],
        }
    )
    known = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    if known.get("key") != key or not model.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        config = task.exported.config
        arguments: list[str | Path] = [
            task.exported.model_path,
            task.calibration,
            model,
            "--artifact",
            peer.artifact,
        ]
        sizes = ["--heads", str(config["num_attention_heads"]), "--hidden", str(config["hidden_size"])]
        if peer.from_checkpoint:
            arguments += ["--checkpoint", str(task.checkpoint)]
        found = environment.run(peer.script, [*arguments, *sizes], timeout=task.timeout)
        if not model.is_file():
            raise PeerFailed("ended without a model")
        known = {
            "key": key,
            "seconds": found["seconds"],
            "peak_mb": found["peak_mb"],
            "made": time.strftime("%FT%TZ", time.gmtime()),
        }
        write_json(record, known)
    size = sum(path.stat().st_size for path in folder.iterdir() if path != record)
    return Made(
        name=peer.name,
        runtime=peer.runtime,
        model=model,
        cost=Cost(seconds=known["seconds"], peak_mb=known["peak_mb"]),
        size_mb=size / 1e6,
    )


def own(name: str, artifact: Artifact, runtime: str) -> Made:
    """Return a quantkit artifact to compare; what it took is in its manifest: every stage after the export."""
    stages = [record for record in artifact.manifest.stages if record.stage != "export"]
    cost = None
    if artifact.manifest.precision == "int8":
        seconds = sum(record.seconds for record in stages)
        cost = Cost(seconds=seconds, peak_mb=max(record.peak_memory_bytes for record in stages) / 1e6)
    return Made(
        name=name,
        runtime=runtime,
        model=artifact.model_path,
        cost=cost,
        size_mb=artifact.model_bytes / 1e6,
    )
