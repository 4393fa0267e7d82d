"""What OpenVINO executes: milliseconds by kind of node and kernel, models in turns, one thread.

    execution.py BATCHES.npz MODEL… [--precision HINT] [--every N]

Prints a Markdown table per model. Run it with the interpreter of the OpenVINO environment.
"""

import argparse
from collections import Counter
from pathlib import Path

import openvino
from engines import read_batches

SHOWN = 8


def main() -> None:
    """Run every model on the batches, twice (the first warms up), and print what took the time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("batches", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--precision", help="OpenVINO's precision hint; its own default else")
    parser.add_argument("--every", type=int, default=4, help="only every Nth batch")
    found = parser.parse_args()
    settings: dict[str, str | int | bool] = {
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": 1,
        "PERF_COUNT": True,
    }
    if found.precision:
        settings["INFERENCE_PRECISION_HINT"] = found.precision
    core = openvino.Core()
    requests = {
        path: core.compile_model(path, "CPU", settings).create_infer_request() for path in found.models
    }
    spent: dict[str, Counter[tuple[str, str]]] = {path: Counter() for path in requests}
    for warm in (False, True):
        for feeds in read_batches(found.batches)[:: found.every]:
            for path, request in requests.items():
                names = {entry.get_any_name() for entry in request.model_inputs}
                request.infer({name: feeds[name] for name in names})
                if warm:
                    for node in request.profiling_info:
                        kind = (node.node_type, node.exec_type)
                        spent[path][kind] += 1000.0 * node.real_time.total_seconds()
    for path, kinds in spent.items():
        print(f"{path}: {sum(kinds.values()):.0f} ms\n\n| node | kernel | ms |\n|---|---|---|")
        for (node_type, kernel), milliseconds in kinds.most_common(SHOWN):
            print(f"| {node_type} | {kernel} | {milliseconds:.1f} |")
        print()


if __name__ == "__main__":
    main()
