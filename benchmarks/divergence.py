"""How far artifacts diverge from FP32 on questions of your choice.

    python benchmarks/divergence.py FUSED INT8... --data FILE [--questions N] [--data-dir DIR] [--openvino bf16]

Printed for each artifact: the mean Kullback-Leibler divergence of its answers' distributions from FP32's, in nats; the
share of questions with another score; the ratio of the scores; and the expected ratio with its lower bound at 95 %, as
a search judges its candidates (docs/auto.md). Divergence needs far fewer questions than the ratio to tell two
artifacts apart. With --openvino the artifacts run in OpenVINO, and FP32 in onnxruntime.
"""

import argparse
from pathlib import Path

from quantkit.artifact import Artifact
from quantkit.exam.exam import Exam, Sitting
from quantkit.runtime.openvino_session import OpenVinoSession
from quantkit.tasks import task
from quantkit.tasks.datasets import load
from quantkit.throughput import sample


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("baseline", type=Path, help="fused FP32 artifact")
    parser.add_argument("artifacts", type=Path, nargs="+", help="made from it")
    parser.add_argument("--data", required=True, help="dataset name, or a file")
    parser.add_argument("--data-dir", type=Path, help="where datasets are")
    parser.add_argument("--questions", type=int, default=300, help="chosen by hash")
    parser.add_argument("--openvino", choices=["bf16", "f32"], help="precision of what is not INT8 there")
    arguments = parser.parse_args()
    baseline = Artifact.open(arguments.baseline)
    dataset = sample(load(arguments.data, baseline.task, arguments.data_dir), arguments.questions)
    outputs, precision = task(baseline.task).outputs, arguments.openvino
    exam = Exam(baseline, dataset, Sitting(label="answer"), confidence=0.95)
    print(
        "| artifact | divergence, nats | changed | ratio | expected ratio | at least |\n|---|---|---|---|---|---|"
    )
    for path in arguments.artifacts:
        model = Artifact.open(path).model_path
        marks = exam.sit(
            OpenVinoSession(model, outputs=outputs, precision=precision) if precision else exam.open(model)
        )
        print(
            f"| {path.name} | {marks.divergence:.5f} | {marks.changed:.1%} | {marks.ratio:.3%} "
            f"| {marks.expected_ratio:.3%} | {marks.expected_ratio_low:.3%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
