"""The tables of docs/results.md, made from what commands and benchmarks wrote and benchmarks/results keeps.

    python benchmarks/results_page.py line WORK --name "`minilm-static`" --cpu "Zen 5" -o static-vnni
    python benchmarks/results_page.py shape INT8 --bench BENCH.json --fp32-f1 75.496 --name "found" --cpu "Zen 5" -o f15
    python benchmarks/results_page.py ladder LADDER.json --name "MiniLM-L6" --cpu "Zen 5" -o ladder-minilm
    python benchmarks/results_page.py            # writes the tables into docs/results.md
    python benchmarks/results_page.py --check    # exit code 1 when the page has other tables

WORK is a folder of `quantkit run`, BENCH.json what `quantkit bench TEACHER ARTIFACT … --json` printed, LADDER.json what
ladder.py wrote. A row keeps the numbers as they were measured and is rounded when the page is made. Rows stand in the
order of their files' names. `--cpu` says which processor it was, as the model's name that the kernel gives does not;
the instruction sets are those that were recorded.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from quantkit.artifact import Artifact
from quantkit.files import write_json, write_text

ROOT = Path(__file__).resolve().parents[1]
ROWS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "results.md"
BLOCK = re.compile(r"(<!-- (\w+): made by benchmarks/results_page.py -->\n).*?(<!-- end -->)", re.DOTALL)

Row = dict[str, Any]


def line_row(work: Path) -> Row:
    """Return the numbers of a run's folder."""
    run = json.loads((work / "run.json").read_text(encoding="utf-8"))
    bench = json.loads((work / "03-int8" / "reports" / "bench.json").read_text(encoding="utf-8"))
    kept = ("recipe", "verdict", "baseline_f1", "candidate_f1", "ratio", "changed", "questions")
    numbers = ("int8_coverage", "baseline_bytes", "candidate_bytes", "artifact")
    return {
        **{key: run[key] for key in (*kept, *numbers)},
        "throughput": _throughput(bench, run["artifact"]),
        **_measured_on(bench),
    }


def shape_row(artifact: Path, bench_file: Path) -> Row:
    """Return the numbers of an INT8 student: its evaluation, and its throughput over the bench's first artifact."""
    opened = Artifact.open(artifact)
    evaluation = json.loads(opened.report_path("evaluation-squad.json").read_text(encoding="utf-8"))
    bench = json.loads(bench_file.read_text(encoding="utf-8"))
    return {
        "f1": evaluation["f1"],
        "exact_match": evaluation["exact_match"],
        "questions": evaluation["questions"],
        "artifact": evaluation["artifact"],
        "throughput": _throughput(bench, evaluation["artifact"]),
        **_measured_on(bench),
    }


def ladder_row(ladder: Path) -> Row:
    """Return the rungs of a ladder."""
    content = json.loads(ladder.read_text(encoding="utf-8"))
    kept = ("name", "ratio", "spread", "cpu_ratio", "f1")
    rungs = [{key: rung[key] for key in kept} for rung in content["rungs"]]
    return {"rungs": rungs, "rows": content["rows"], "rounds": content["rounds"], **_measured_on(content)}


def _throughput(bench: Row, artifact: str) -> Row:
    found = next((row for row in bench["results"] if row["artifact"] == artifact), None)
    if found is None:
        sys.exit(f"the bench did not measure {artifact[:12]}: give quantkit bench this artifact too")
    return {"ratio": found["ratio"], "interval": found["interval"], "rounds": bench["repeats"]}


def _measured_on(report: Row) -> Row:
    return {"tools": report["tools"], "instruction_sets": report["cpu"]["instruction_sets"]}


def _cpu(row: Row) -> str:
    sets = row["instruction_sets"]
    kernels = next((text for key, text in KERNELS if key in sets), "no known kernels")
    return f"{row['cpu']}, {kernels}"


KERNELS = (("avx512_vnni", "AVX512-VNNI"), ("avx_vnni", "AVX-VNNI"), ("avx2", "AVX2 kernels"))


def _times(row: Row) -> str:
    low, high = row["interval"]
    return f"{row['ratio']:.2f} x ({low:.2f} to {high:.2f})"


def lines_table(rows: Sequence[Row]) -> list[str]:
    """Return the table of whole lines: F1 against FP32, coverage, size, throughput over the fused FP32."""
    head = ["line", "CPU", "F1", "ratio", "gate", "changed", "coverage", "size", "throughput"]
    return _table(
        head,
        [
            [
                row["name"],
                _cpu(row),
                f"{row['candidate_f1']:.3f}",
                f"{_cut(100 * row['ratio'])} %",
                row["verdict"],
                f"{100 * row['changed']:.2f} %",
                f"{_cut(100 * row['int8_coverage'], digits=1)} %",
                f"{row['candidate_bytes'] / 1e6:.1f} MB",
                _times(row["throughput"]),
            ]
            for row in rows
        ],
    )


def shapes_table(rows: Sequence[Row]) -> list[str]:
    """Return the table of smaller shapes; ratios are against the FP32 teacher's F1 that the rows name."""
    return _table(
        ["shape", "throughput", "F1", "EM", "of FP32"],
        [
            [
                row["name"],
                _times(row["throughput"]),
                f"{row['f1']:.3f}",
                f"{row['exact_match']:.3f}",
                f"{_cut(100 * row['f1'] / row['fp32_f1'], digits=2)} %",
            ]
            for row in rows
        ],
    )


def ladders_table(rows: Sequence[Row]) -> list[str]:
    """Return the ladder's rungs that people ask for, each over the padded FP32."""
    wanted = ("FP32, real lengths", "FP32, equal lengths", "INT8, laid out")
    body = []
    for row in rows:
        rungs = {rung["name"]: rung for rung in row["rungs"]}
        cells = [
            f"{rungs[name]['ratio']:.2f} ({rungs[name]['spread'][0]:.2f} to {rungs[name]['spread'][1]:.2f})"
            for name in wanted
        ]
        body.append([row["name"], _cpu(row), *cells])
    return _table(["model", "CPU", "FP32, real lengths", "FP32, quantkit's engine", "INT8, the same"], body)


def _cut(percent: float, *, digits: int = 3) -> str:
    """Return a percentage that is cut, not rounded: 99.8999 is below 99.9."""
    scaled = int(percent * 10**digits + 1e-9)
    return f"{scaled / 10**digits:.{digits}f}"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    rows = [head, ["---"] * len(head), *body]
    return ["| " + " | ".join(cells) + " |" for cells in rows]


TABLES: Mapping[str, Callable[[Sequence[Row]], list[str]]] = {
    "lines": lines_table,
    "shapes": shapes_table,
    "ladders": ladders_table,
}


def rows_of(table: str) -> list[Row]:
    """Return the rows that are kept for a table, in the order of their names."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((ROWS / table).glob("*.json"))]


def page(text: str) -> str:
    """Return the page's text with every table made anew."""

    def made(found: re.Match[str]) -> str:
        table = found.group(2)
        return "\n".join([found.group(1), *TABLES[table](rows_of(table)), "", found.group(3)])

    return BLOCK.sub(made, text)


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="only say whether the page has these tables")
    kinds = parser.add_subparsers(dest="kind")
    for kind, what in (
        ("line", "folder of a run"),
        ("shape", "INT8 artifact"),
        ("ladder", "JSON of ladder.py"),
    ):
        adding = kinds.add_parser(kind)
        adding.add_argument("source", type=Path, help=what)
        adding.add_argument("--name", required=True, help="the row's first cell")
        adding.add_argument("--cpu", required=True, help="the processor, such as Zen 5")
        adding.add_argument("-o", "--output", required=True, help="the row's file, without .json")
        if kind == "shape":
            adding.add_argument("--bench", type=Path, required=True, help="JSON of quantkit bench")
            adding.add_argument("--fp32-f1", type=float, required=True, help="F1 of the FP32 teacher")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Add a row, or write the page; return the exit code."""
    options = read_options(arguments)
    if options.kind is not None:
        row: Row = {"name": options.name, "cpu": options.cpu}
        if options.kind == "line":
            row |= line_row(options.source)
        elif options.kind == "ladder":
            row |= ladder_row(options.source)
        else:
            row |= {"fp32_f1": options.fp32_f1, **shape_row(options.source, options.bench)}
        folder = ROWS / f"{options.kind}s"
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{options.output}.json", row)
    text = PAGE.read_text(encoding="utf-8")
    if options.check:
        return int(page(text) != text)
    write_text(PAGE, page(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
