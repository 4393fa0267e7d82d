"""quantkit inspect: what is in an artifact, and which kernels really run."""

from typing import TYPE_CHECKING

import click

from quantkit.cli import options, show

if TYPE_CHECKING:
    from quantkit.records import EncoderLayer, Inspection


@click.command("inspect")
@options.argument("ARTIFACT")
@options.json_option
def command(*, artifact: str, as_json: bool) -> None:
    """Show sizes, fusions, executed kernels and INT8 coverage.

    The kernels are read from the graph ONNX Runtime executes, not from the file. INT8 coverage is the share
    of the linear layers' multiply-accumulates that run in integer kernels.
    """
    from quantkit.api.proving import inspect
    from quantkit.artifact import Artifact

    opened = Artifact.open(artifact)
    with show.working():
        report = inspect(opened)
    if as_json:
        show.print_json(report.as_json())
        return
    imported = opened.manifest.stage("import")
    show.print_facts(
        "",
        [
            ("artifact", f"{artifact} ({report.artifact[:12]})"),
            *([("origin", str(imported.facts.get("provenance")))] if imported else []),
            ("model", f"{report.architecture}, {report.task}, {report.precision}"),
            *([("encoder", _encoder(report))] if report.encoder else []),
            ("parameters", f"{report.parameters:,}"),
            ("size", show.megabytes(report.size_bytes)),
            ("INT8 coverage", show.percent(report.int8_coverage)),
            ("INT8 embeddings", show.percent(report.int8_embedding_share)),
            ("x86 without VNNI", _exactness(report)),
        ],
    )
    if len(set(report.encoder)) > 1:
        rows = [
            (str(number), f"{layer.heads} x {layer.head_size}" if layer.heads else "-", _width(layer))
            for number, layer in enumerate(report.encoder)
        ]
        show.print_table("encoder", ("layer", "heads", "feed-forward"), rows, right=(1, 2))
    fusions = sorted({**report.expected_fusions, **report.fused})
    if fusions:
        rows = [
            (op, str(report.fused.get(op, 0)), str(report.expected_fusions.get(op, "-"))) for op in fusions
        ]
        show.print_table("fusions", ("operator", "found", "expected"), rows, right=(1, 2))
    kernels = sorted(report.kernels.items(), key=lambda item: (-item[1], item[0]))
    show.print_table(
        "executed kernels", ("operator", "nodes"), [(op, str(n)) for op, n in kernels], right=(1,)
    )
    if report.layers:
        layers = [
            (
                layer.name,
                f"{layer.shape[0]} x {layer.shape[1]}",
                layer.kernel,
                "yes" if layer.integer else "no",
            )
            for layer in report.layers
        ]
        show.print_table("linear layers", ("layer", "shape", "kernel", "integer"), layers)


def _encoder(report: "Inspection") -> str:
    """Say how many layers there are, and what each has where they are alike."""
    layers, (first, *_) = len(report.encoder), report.encoder
    if len(set(report.encoder)) > 1:
        return f"{layers} layers that differ"
    return f"{layers} layers of {first.heads} heads x {first.head_size}, feed-forward {_width(first)}"


def _width(layer: "EncoderLayer") -> str:
    return f"{layer.feed_forward:,}" if layer.feed_forward else "-"


def _exactness(report: "Inspection") -> str:
    """Say whether integer products are right where pairs of them are added in 16 bits."""
    if not report.saturating:
        return "exact"
    return f"{len(report.saturating)} layers saturate, first {report.saturating[0]}"
