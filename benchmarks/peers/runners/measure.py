"""Time several models in one interleaved run: rounds A B C … A B C … over the same batches, both runtimes.

    measure.py SPEC.json

SPEC: {"batches": file.npz, "rounds": n, "threads": n, "precision": hint or null, "artifacts": [{"key", "runtime",
"path"}]}. Prints, as the last line, {"seconds": {key: [one per round]}}. Round 0 warms up and is not reported.
"""

import json
import sys
import time
from pathlib import Path

from engines import Engine, OnnxRuntime, OpenVino, read_batches


def main(spec_path: Path) -> None:
    """Open every model, then run the rounds."""
    spec = json.loads(spec_path.read_text(encoding="utf-8"))
    batches = read_batches(Path(spec["batches"]))
    engines: dict[str, Engine] = {}
    for artifact in spec["artifacts"]:
        if artifact["runtime"] == "openvino":
            engines[artifact["key"]] = OpenVino(artifact["path"], spec["threads"], spec["precision"])
        else:
            engines[artifact["key"]] = OnnxRuntime(artifact["path"], spec["threads"])
    seconds: dict[str, list[float]] = {key: [] for key in engines}
    for round_number in range(spec["rounds"] + 1):
        for key, engine in engines.items():
            started = time.perf_counter()
            engine.run(batches)
            if round_number > 0:
                seconds[key].append(time.perf_counter() - started)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
