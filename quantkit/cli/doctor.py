"""quantkit doctor: what is installed, what the processor can do, where data is."""

import importlib.metadata
import os
from pathlib import Path
from typing import Any

import click

from quantkit.cli import options, show

# package → what needs it. The first part comes with every installation.
_PACKAGES = {
    "onnx": "always",
    "onnx-ir": "always",
    "onnxruntime": "always",
    "tokenizers": "always",
    "numpy": "always",
    "pydantic": "always",
    "click": "always",
    "rich": "always",
    "torch": "export",
    "transformers": "export",
    "onnxscript": "export",
    "safetensors": "export",
    "huggingface_hub": "export of Hugging Face ids, and hub",
}
# Behind the exact weight types of a CPU on which int8 is none of them.
_SATURATES = "; int8 saturates: quantize makes int8-pairs, and artifacts of others need --exact-int8"


@click.command("doctor")
@options.data_dir_option
@options.json_option
def command(*, data_dir: Path | None, as_json: bool) -> None:
    """Show versions, processor, and where data is found.

    Nothing is downloaded.
    """
    from quantkit.artifact.measure import tool_versions
    from quantkit.files import cache_folder
    from quantkit.pinned import DATASETS
    from quantkit.quantization.grids import GRIDS
    from quantkit.runtime.cpu import NATIVE, cpu_facts, resolve_target
    from quantkit.telemetry import telemetry

    processor = cpu_facts()
    kernels = resolve_target(NATIVE, processor)
    exact = [name for name, grid in GRIDS.items() if grid.exact or not kernels.saturates]
    facts: dict[str, Any] = {
        "schema": "quantkit/doctor/1",
        "versions": tool_versions(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "cpu": {**processor.as_json(), "vnni": processor.has_vnni, "exact": exact},
        "telemetry": telemetry(),
        "data": {name: _where(name, data_dir) for name in DATASETS},
        "folders": {
            "cache": str(cache_folder()),
            "QUANTKIT_DATA": os.environ.get("QUANTKIT_DATA"),
            "QUANTKIT_REGISTRY": os.environ.get("QUANTKIT_REGISTRY"),
        },
    }
    if as_json:
        show.print_json(facts)
        return
    versions = [(name, version, "") for name, version in facts["versions"].items()]
    packages = [
        (name, version or "not installed", "" if version else f"needed for: {_PACKAGES[name]}")
        for name, version in facts["packages"].items()
    ]
    show.print_table("versions", ("package", "version", ""), [*versions, *packages])
    sets = processor.instruction_sets
    show.print_facts(
        "processor",
        [
            ("model", processor.model),
            ("cores", str(processor.cores)),
            ("instruction sets", "not known" if sets is None else " ".join(sets) or "none that matter"),
            ("INT8 kernels", kernels.name),
            (
                "exact weight types",
                ", ".join(exact) + (_SATURATES if kernels.saturates else "; no sum saturates"),
            ),
        ],
    )
    data = [(name, place or "not here; downloaded when needed") for name, place in facts["data"].items()]
    folders = [(name, place or "not set") for name, place in facts["folders"].items()]
    show.print_facts("data", [*data, *folders])
    sends = [(name, "ON, as you chose" if on else "off") for name, on in facts["telemetry"].items()]
    show.print_facts("telemetry", [("telemetry", ", ".join(f"{name} {state}" for name, state in sends))])


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _where(name: str, data_dir: Path | None) -> str | None:
    """Return where a dataset is now, or None; as `quantkit.tasks.datasets` looks, but never downloading."""
    from quantkit.tasks.datasets import located

    found = located(name, data_dir)
    return str(found) if found else None
