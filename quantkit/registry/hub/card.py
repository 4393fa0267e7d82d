"""The files that the Hub wants beside a release, written from its evidence: card, `.eval_results`, `.gitattributes`."""

from pathlib import Path
from typing import Any

import yaml

from quantkit.artifact import Manifest
from quantkit.artifact.artifact import MODEL
from quantkit.artifact.hub_files import ATTRIBUTES, CARD, RESULTS
from quantkit.files import write_text
from quantkit.printable import spelled_out
from quantkit.registry.evidence import Evidence
from quantkit.registry.hub.claims import Claims, require_own_claims
from quantkit.registry.hub.client import hub_library
from quantkit.registry.reference import Reference
from quantkit.report.digits import cut
from quantkit.report.markdown.gate import gate_markdown
from quantkit.report.markdown.text import escape

_LARGE = 10 * 10**6
"""Bytes from which the Hub takes a file only by LFS."""
_EMBEDS = "sentence-similarity"
_LOADERS = {
    "question-answering": ("ORTModelForQuestionAnswering", "question=…, context=…"),
    "text-classification": ("ORTModelForSequenceClassification", "…"),
    "text-ranking": ("ORTModelForSequenceClassification", "query, passage"),
    "token-classification": ("ORTModelForTokenClassification", "…"),
}


def write_hub_files(folder: Path, reference: Reference, evidence: Evidence) -> None:
    """Write the Hub's files into a published folder, which holds everything else already.

    Args:
        folder: the release.
        reference: its name and version.
        evidence: judged again.

    Raises:
        UsageError: `huggingface_hub` is not installed.
        OutputError: the folder cannot be written.
    """
    library = hub_library("layout hub")
    manifest, claims = Manifest.read(folder), Claims.of(evidence)
    write_text(folder / ATTRIBUTES, _attributes(manifest))
    write_text(folder / CARD, str(_card(library, manifest, reference, evidence)))
    if claims.eval_results():
        content = yaml.safe_dump(claims.eval_results(), sort_keys=False, allow_unicode=True, width=1000)
        write_text(folder / RESULTS, content)
    require_own_claims(folder, evidence)


def _card(library: Any, manifest: Manifest, reference: Reference, evidence: Evidence) -> Any:
    claims = Claims.of(evidence)
    there = claims.on_the_hub
    results = [
        library.EvalResult(
            task_type=claims.task,
            dataset_type=there.id if there else claims.dataset_name,
            dataset_name=claims.dataset_name,
            dataset_config=there.config if there else None,
            dataset_split=there.split if there else None,
            dataset_args=claims.args,
            metric_type=kind,
            metric_name=name,
            metric_value=value,
        )
        for kind, name, value in claims.metrics
    ]
    data = library.ModelCardData(
        model_name=reference.name,
        pipeline_tag=claims.task,
        tags=["onnx", "onnxruntime", manifest.precision, manifest.architecture, "quantkit"],
        metrics=[kind for kind, _, _ in claims.metrics],
        eval_results=results,
    )
    return library.ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_text(manifest, reference, evidence)}")


def _text(manifest: Manifest, reference: Reference, evidence: Evidence) -> str:
    claims, gate = Claims.of(evidence), evidence.gate
    scores = "\n".join(f"| {name} | {cut(value, 4)} |" for _, name, value in claims.metrics)
    size = sum(record.size for name, record in manifest.files.items() if name.startswith(MODEL)) / 1e6
    return spelled_out(f"""\
# {escape(str(reference))}

An ONNX model of the family {escape(manifest.architecture)}, {manifest.precision.upper()}, {size:.2f} MB, judged by
quantkit.
Artifact `{manifest.digest}`.

| {escape(claims.dataset_name)}, {gate.questions:,} questions | |
|---|---|
{scores}
| ratio to the FP32 baseline | {cut(gate.ratio)} |
| share of linear MACs in integer kernels | {cut(evidence.int8_coverage)} |

Dataset sha256 `{gate.dataset}`, baseline artifact `{gate.baseline}`.

## Verify

```
pip install "quantkit[hub]"
quantkit verify hf://OWNER/NAME --digest {manifest.digest}
```

Every file is hashed and the verdict is judged again from the scores in `reports/`. This page, `LICENSE`,
`.gitattributes` and `.eval_results` are not covered by the digest.

## Run

```python
{_run(claims.task)}
```

{gate_markdown(gate)}""")


def _run(task: str) -> str:
    """Return the lines that run the model."""
    if task == _EMBEDS:
        return f"""\
from huggingface_hub import snapshot_download
from onnxruntime import InferenceSession
from transformers import AutoTokenizer

folder = snapshot_download("OWNER/NAME")
session, tokenizer = InferenceSession(f"{{folder}}/{MODEL}"), AutoTokenizer.from_pretrained(folder)
rows = tokenizer(["…", "…"], padding=True, truncation=True, return_tensors="np")
(embeddings,) = session.run(["sentence_embedding"], dict(rows))"""
    loader, asked = _LOADERS[task]
    return f"""\
from optimum.onnxruntime import {loader}
from transformers import AutoTokenizer, pipeline

model = {loader}.from_pretrained("OWNER/NAME", file_name="{MODEL}")
tokenizer = AutoTokenizer.from_pretrained("OWNER/NAME")
answer = pipeline("{task}", model=model, tokenizer=tokenizer)({asked})"""


def _attributes(manifest: Manifest) -> str:
    """Return rules that keep git from changing line ends, and put what is large into LFS."""
    listed = {**manifest.files, **manifest.reports}
    large = [name for name, record in listed.items() if record.size >= _LARGE and " " not in name]
    rules = ["* -text"]
    for pattern in ("*.onnx", "*.onnx.data", *sorted(large)):
        rules.append(f"{pattern} filter=lfs diff=lfs merge=lfs -text")
    return "\n".join(rules) + "\n"
