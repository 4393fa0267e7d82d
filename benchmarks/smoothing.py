"""How far static INT8 answers diverge from FP32's, over SmoothQuant's alpha.

    python benchmarks/smoothing.py FUSED --calib squad --data FILE --data-dir DIR [--rounding gptq]

For each alpha, and for `off` and `auto` (factors of least expected error), the artifact is quantized (calibrated on
`--calib`) and answers `--questions` questions of `--data`, chosen by hash. Printed is the mean Kullback-Leibler
divergence of its start and end distributions from FP32's, in nats, and the share of answers that changed. Use data
that no gate uses.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np

from quantkit.artifact import Artifact
from quantkit.metrics.distributions import divergence
from quantkit.recipe import QuantizeSettings
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.engine import ThreadEngine
from quantkit.runtime.run import batched, run_job
from quantkit.runtime.session import Arrays, Session
from quantkit.stages.quantize import quantize
from quantkit.tasks import Dataset
from quantkit.tasks.calibration_set import select
from quantkit.tasks.prepared import Reader

ALPHAS: tuple[Literal["auto", "off"] | float, ...] = ("off", 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 1.0, "auto")


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("artifact", type=Path, help="fused FP32 artifact")
    parser.add_argument("--calib", default="squad", help="calibration set")
    parser.add_argument("--data", required=True, help="questions to compare on: a SQuAD-format file")
    parser.add_argument("--data-dir", type=Path, help="where datasets are")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--rounding", choices=("nearest", "gptq"), default="nearest", help="of the weights")
    arguments = parser.parse_args()
    artifact = Artifact.open(arguments.artifact)
    dataset = select(arguments.data, artifact.task, arguments.questions, arguments.data_dir).dataset
    expected, reference = _answer(artifact, dataset)
    print("| alpha | divergence, nats | answers changed |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for alpha in ALPHAS:
            settings = QuantizeSettings(
                mode="static",
                plain=True,
                calib=arguments.calib,
                smooth_quant=alpha,
                rounding=arguments.rounding,
            )
            int8 = quantize(
                artifact, Path(folder) / str(alpha), settings=settings, data_dir=arguments.data_dir
            )
            answers, outputs = _answer(int8, dataset)
            changed = np.mean([one != other for one, other in zip(expected, answers, strict=True)])
            print(f"| {alpha} | {divergence(reference, outputs):.3g} | {changed:.1%} |", flush=True)


def _answer(artifact: Artifact, dataset: Dataset) -> tuple[list[str], list[Arrays]]:
    """Return the answers to the questions, and the logits of every window."""
    prepared = Reader.of(artifact).prepare(dataset)
    session = Session(artifact.model_path, outputs=prepared.reader.task.outputs)
    with ThreadEngine([session] * cpu_facts().cores) as engine:
        outputs = run_job(engine, batched(prepared, token_budget=1024), label="answer")
    return [prediction.answer for prediction in prepared.predict(outputs)], outputs


if __name__ == "__main__":
    main()
