"""Digests of the artifacts that the shipped ways of quantizing make here: equal before and after a change of the code.

    python benchmarks/golden.py record before.json
    python benchmarks/golden.py check before.json

Every artifact is made from nothing, with an empty cache. Digests are those of one CPU kind and one set of tool
versions, so they are compared on the machine that recorded them. MiniLM's artifacts need ../shared.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared"
_NEW_WIKI = ("--calib", "{wiki}", "--data-dir", "{data}")
_DYNAMIC = ("--mode", "dynamic")
_PLAIN = ("--mode", "static", "--plain")
_SMOOTH = ("--smooth-quant", "auto")
_TECHNIQUES = (*_SMOOTH, "--rounding", "gptq", "--bias-correction", "--channel-shift")
_STATIC = (*_PLAIN, "--calib", "squad", "--smooth-quant", "0.75", "--keep-float", "qa_outputs")

# name → the command that makes it; {name} is the folder of another artifact.
QUICKSTART = {
    "quickstart-exported": ("export", "{quickstart}", "--no-fuse"),
    "quickstart-fused": ("fuse", "{quickstart-exported}"),
    "quickstart-static": ("quantize", "{quickstart-fused}", *_PLAIN, *_SMOOTH, "--calib", "callcentre"),
    "quickstart-dynamic": ("quantize", "{quickstart-fused}", *_DYNAMIC),
}
MINILM = {
    "minilm-exported": ("export", "{minilm}", "--no-fuse"),
    "minilm-fused": ("export", "{minilm}"),
    "minilm-dynamic": ("quantize", "{minilm-fused}", *_DYNAMIC),
    "minilm-static": ("quantize", "{minilm-fused}", *_STATIC, "--data-dir", "{data}"),
    "minilm-uint8-mse": (
        *("quantize", "{minilm-fused}", *_STATIC, "--data-dir", "{data}", "--calib-method", "mse"),
        *("--weight-type", "uint8", "--symmetric"),
    ),
    "minilm-techniques": (
        *("quantize", "{minilm-fused}", *_PLAIN, *_TECHNIQUES, "--outlier-channels", "auto"),
        *("--calib-questions", "200", *_NEW_WIKI),
    ),
    "minilm-split": (
        *("quantize", "{minilm-fused}", *_PLAIN, *_TECHNIQUES, "--split-channels", "auto"),
        *("--calib-questions", "200", *_NEW_WIKI),
    ),
    "minilm-openvino": (
        *("quantize", "{minilm-exported}", *_PLAIN, *_TECHNIQUES, "--split-channels", "auto"),
        *("--layout", "portable", "--calib-questions", "200", *_NEW_WIKI),
    ),
    "minilm-openvino-qk": (
        *("quantize", "{minilm-exported}", *_PLAIN, *_SMOOTH, "--attention", "qk", "--layout", "portable"),
        *("--calib-questions", "50", *_NEW_WIKI),
    ),
}
AUTO = ("quantize", "{minilm-fused}", "--config", "{recipe}", *_NEW_WIKI)


def make(artifacts: dict[str, tuple[str, ...]], places: dict[str, str]) -> dict[str, str]:
    """Make every artifact, and return name → digest.

    Args:
        artifacts: name → command.
        places: what stands in braces; made artifacts are added.
    """
    digests = {}
    with tempfile.TemporaryDirectory(prefix="quantkit-golden-") as folder:
        environment = {**os.environ, "QUANTKIT_CACHE": str(Path(folder) / "cache")}
        for name, command in artifacts.items():
            started = time.monotonic()
            out = str(Path(folder) / name)
            arguments = [part.format_map(places) for part in command]
            subprocess.run(
                [sys.executable, "-m", "quantkit", *arguments, "-o", out],
                env=environment,
                check=True,
                stdout=subprocess.DEVNULL,
            )
            places[name] = out
            manifest = json.loads((Path(out) / "manifest.json").read_text(encoding="utf-8"))
            digests[name] = manifest["digest"]
            print(f"{name}  {manifest['digest'][:12]}  {time.monotonic() - started:.1f} s", flush=True)
    return digests


def main() -> None:
    """Record, or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=["record", "check"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--recipe", type=Path, help="a search.yaml for MiniLM, to make again")
    parser.add_argument("--quick", action="store_true", help="the quickstart's artifacts only")
    given = parser.parse_args()
    from quantkit.shipped import quickstart_model

    places = {
        "quickstart": str(quickstart_model()),
        "minilm": str(SHARED / "models" / "minilm-l6-squad"),
        "data": str(SHARED / "data"),
        "wiki": str(SHARED / "data" / "squadshifts" / "new_wiki_v1.0.json"),
        "recipe": str(given.recipe),
    }
    artifacts = dict(QUICKSTART)
    if SHARED.is_dir() and not given.quick:
        artifacts |= MINILM
        if given.recipe:
            artifacts["minilm-auto"] = AUTO
    found = make(artifacts, places)
    if given.verb == "record":
        given.file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        return
    before = json.loads(given.file.read_text(encoding="utf-8"))
    changed = [name for name in found if before.get(name) != found[name]]
    print(f"{len(found) - len(changed)} of {len(found)} are the same", *changed, sep="\n  ")
    sys.exit(1 if changed else 0)


if __name__ == "__main__":
    main()
