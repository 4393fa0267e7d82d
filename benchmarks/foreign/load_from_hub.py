"""A release in the layout of the Hub, answered by optimum and by quantkit: are the answers the same?

    python benchmarks/foreign/load_from_hub.py RELEASE --work DIR [--data NAME] [--questions N]

RELEASE is the folder of a version that `quantkit publish --layout hub` made, or a snapshot in the Hub's cache. optimum
and transformers answer in an environment of their own, which is built in DIR from `requirements/optimum.txt` unless it
is there; quantkit's answers are those that the gate judged, in `reports/predictions.json`. Prints a table, and each
question on which they differ. Where a context needs several windows they may: the pipeline compares the windows by
their own softmax, quantkit by logits, as SQuAD's script does. Ends with 1 when they differ on a question of one window.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from build import environment

from quantkit.artifact import Artifact
from quantkit.strict_json import read_json
from quantkit.tasks.datasets import load
from quantkit.tasks.prepared import Reader
from quantkit.tasks.squad.question import SquadQuestion

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Ask both and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("release", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", default="callcentre")
    parser.add_argument("--questions", type=int, default=100)
    options = parser.parse_args()
    artifact = Artifact.open(options.release)
    scores = read_json(artifact.report_path("predictions.json"))
    ours = {score["id"]: score["answer"] for score in scores}
    dataset = load(options.data, artifact.task)
    dataset = dataclasses.replace(dataset, questions=dataset.questions[: options.questions])
    questions = [one for one in dataset.questions if isinstance(one, SquadQuestion)]
    if len(questions) < len(dataset.questions):
        parser.error(f"{options.release}: answers of the task {artifact.task} have no spans to compare")
    windows = Counter(row.question for row in Reader.of(artifact).prepare(dataset).rows)
    options.work.mkdir(parents=True, exist_ok=True)
    asked = options.work / "asked.json"
    asked.write_text(json.dumps([{"question": one.question, "context": one.context} for one in questions]))
    python = environment("optimum", options.work / "envs") / "bin" / "python"
    done = subprocess.run(
        [str(python), str(HERE / "answer_optimum.py"), str(options.release), str(asked)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1", "ORT_DISABLE_TELEMETRY": "1"},
    )
    answers = json.loads(done.stdout)
    same, lines = Counter[bool](), []
    for number, (one, answer) in enumerate(zip(questions, answers, strict=True)):
        if ours[one.id] == answer:
            same[windows[number] == 1] += 1
        else:
            lines.append(
                f"{one.id}: quantkit {ours[one.id]!r}, optimum {answer!r}, {windows[number]} windows"
            )
    asked_of = Counter(windows[number] == 1 for number in range(len(questions)))
    print("| windows of a question | questions | the same answer |\n|---|---|---|")
    print(f"| one | {asked_of[True]} | {same[True]} |\n| several | {asked_of[False]} | {same[False]} |")
    print("\n".join(lines))
    sys.exit(0 if same[True] == asked_of[True] else 1)


if __name__ == "__main__":
    main()
