"""A comparison as one page: headline, charts, tables, gates, maps of layers, and where every number comes from."""

import math
from typing import Any

from quantkit.records.comparison import Comparison, Entry, Gain, LayerDamage
from quantkit.records.gate import GateReport, Verdict
from quantkit.report.digits import (
    NONE,
    TIMES,
    between,
    change,
    counted,
    coverage,
    cut,
    kept,
    nats,
    short,
    size,
    times,
)
from quantkit.report.groups import is_map, places, score_name
from quantkit.report.pages.charts import bar_chart, scatter
from quantkit.report.pages.template import render
from quantkit.report.shapes import shape_table
from quantkit.report.tables import tables
from quantkit.report.words import score_words, throughput_words

FIXED = "\N{NO-BREAK SPACE}"
_SIGNS: dict[Verdict, str] = {"pass": "✓", "fail": "✕", "inconclusive": "?"}
_PASSED: dict[Verdict, str] = {"pass": "passed", "fail": "failed", "inconclusive": "is inconclusive"}


def comparison_page(report: Comparison) -> str:
    """Return the page.

    Raises:
        UsageError: jinja2 is not installed.
    """
    return render("comparison", _view(report))


def _view(report: Comparison) -> dict[str, Any]:
    """Return everything the page says, as text and geometry."""
    best, shapes = _best(report), shape_table(report)
    return {
        "title": f"{_headline(report, best)} · quantkit report",
        "headline": _headline(report, best),
        "lead": f"{score_words(report)} {throughput_words(report)}",
        "verdict": _chip(best.gate if best else None),
        "tiles": [] if best is None else _tiles(report, best),
        "bars": bar_chart(report),
        "scatter": scatter(report),
        "score": score_name(report.task),
        "tables": [*tables(report), *([shapes] if shapes else [])],
        "missing": report.missing,
        "gates": [_gate(entry, entry.gate) for entry in report.entries if entry.gate is not None],
        "layers": [_layers(found) for found in report.sensitivities],
        "artifacts": [_artifact(entry) for entry in report.entries],
        "machines": _machines(report),
        "versions": _versions(report),
        "provenance": report.provenance,
        "version": report.tools.get("quantkit", ""),
    }


def _best(report: Comparison) -> Entry | None:
    """Return the INT8 artifact the page opens with: the fastest of those with the best verdict."""
    small = [entry for entry in report.entries if entry.precision == "int8"]
    return max(small, key=lambda entry: (_rank(entry.gate), entry.throughput or 0), default=None)


def _rank(gate: GateReport | None) -> int:
    return 1 if gate is None else {"pass": 3, "inconclusive": 2, "fail": 0}[gate.verdict]


def _own(entry: Entry) -> Gain | None:
    return next((gain for gain in entry.gains if gain.against == "its FP32"), None)


def _headline(report: Comparison, best: Entry | None) -> str:
    if best is None:
        count = len(report.entries)
        return f"{count} FP32 artifacts side by side" if count > 1 else f"{report.entries[0].name}, FP32"
    gain = _own(best)
    if gain is None:
        return f"{best.name}, INT8"
    score = f"{kept(gain.score_ratio)} of the FP32 {score_name(report.task)}" if gain.score_ratio else ""
    speed = f"{times(gain.throughput)} its throughput" if gain.throughput else ""
    both = " at ".join(filter(None, (score, speed if score else speed.replace("its", "the FP32"))))
    words = both or f"{size(best.size_bytes)}, {change(gain.size)}"
    # A unit stays on the line of its number.
    return f"{best.name}: {words.replace(' %', f'{FIXED}%').replace(f' {TIMES}', f'{FIXED}{TIMES}')}"


def _chip(gate: GateReport | None) -> dict[str, str]:
    if gate is None:
        return {"kind": "none", "text": "not judged by a gate"}
    return {"kind": gate.verdict, "text": f"{_SIGNS[gate.verdict]} gate {_PASSED[gate.verdict]}"}


def _tiles(report: Comparison, best: Entry) -> list[dict[str, str]]:
    gain = _own(best)
    spread = (
        ""
        if gain is None or gain.throughput_bounds is None
        else f"{between(gain.throughput_bounds)} times its FP32"
    )
    name = score_name(report.task)
    return [
        {
            "name": f"{name} kept",
            "value": kept(gain.score_ratio) if gain and gain.score_ratio is not None else NONE,
            "note": f"{name} {cut(best.score, 3)}" if best.score is not None else f"no {name} yet",
        },
        {
            "name": "throughput",
            "value": times(gain.throughput) if gain else NONE,
            "note": spread or ("of its FP32" if gain and gain.throughput else "not measured yet"),
        },
        {
            "name": "model size",
            "value": size(best.size_bytes),
            "note": f"{change(gain.size)} of its FP32" if gain else "of the model",
        },
        {
            "name": "INT8 coverage",
            "value": NONE if best.int8_coverage is None else coverage(best.int8_coverage),
            "note": "of the multiply-accumulates",
        },
    ]


def _gate(entry: Entry, gate: GateReport) -> dict[str, Any]:
    interval, kept_questions = gate.interval, gate.questions - gate.excluded
    against = next(
        (gain.name for gain in entry.gains if gain.artifact == gate.baseline), short(gate.baseline)
    )
    return {
        "name": entry.name,
        **_chip(gate),
        "words": (
            f"Policy {gate.policy}: {cut(gate.ratio)} of {against} on {gate.questions:,} questions of "
            f"{gate.dataset_name}, {gate.min_ratio:g} asked. {100 * interval.confidence:g} % interval "
            f"{cut(interval.low)} to {cut(interval.high)} on the {kept_questions:,} that were not calibrated on; "
            f"{100 * gate.changed:.2f} % of the questions changed."
        ),
        "checks": [
            {
                "name": check.name,
                "required": check.required,
                "observed": check.observed,
                "kind": check.verdict if check.decides else "aside",
                "verdict": f"{_SIGNS[check.verdict]} {check.verdict}",
                "note": "" if check.decides else "not counted",
            }
            for check in gate.checks
        ],
    }


def _layers(found: LayerDamage) -> dict[str, Any]:
    """Return a map of layers by kinds when the groups make one, else a list, the most sensitive first."""
    named = places(found.groups)
    damages = [max(group.damage, 0.0) for group in found.groups]
    cells = {
        place: {
            "text": nats(group.damage),
            "title": f"{group.group}: {nats(group.damage)} nats, {100 * group.changed:.2f} % changed",
            "shade": _shade(damage, damages),
        }
        for place, group, damage in zip(named, found.groups, damages, strict=True)
    }
    kinds = list(dict.fromkeys(place.kind for place in named if place.layer is not None))
    numbers = sorted({place.layer for place in named if place.layer is not None})
    mapped = is_map(named)
    rows = [
        {
            "name": str(number),
            "cells": [
                next((cells[p] for p in named if (p.layer, p.kind) == (number, kind)), None) for kind in kinds
            ],
        }
        for number in numbers
    ]
    rest = [place for place in named if not mapped or place.layer is None]
    return {
        "name": found.name,
        "words": (
            f"{found.choice}, {found.questions:,} questions, FP32 artifact {short(found.artifact)}. Damage in nats: "
            "how far the answers' distributions move when this group alone is INT8."
        ),
        "kinds": kinds if mapped else [],
        "rows": rows if mapped else [],
        "rest": [{"name": str(p), **cells[p]} for p in sorted(rest, key=lambda p: -damages[named.index(p)])],
    }


def _shade(damage: float, all_damages: list[float]) -> int:
    """Return how strongly a cell is tinted, 0 to 70 percent: logarithmic, over at most three powers of ten."""
    most = max(all_damages)
    if damage <= 0 or most <= 0:
        return 0
    return max(0, round(70 * (1 + math.log10(damage / most) / 3)))


def _artifact(entry: Entry) -> dict[str, Any]:
    profile, run = entry.tuned or {}, entry.profile
    measured = (
        f"{counted(run['instances'], 'instance')} of {counted(run['threads'], 'thread')}, "
        f"{run['runtime']}, {run['engine']}"
        if {"instances", "threads", "runtime", "engine"} <= set(run)
        else ""
    )
    runs = (
        f"{counted(profile['instances'], 'instance')} of {counted(profile['threads'], 'thread')}, "
        f"{profile['token_budget']:,} tokens a batch, {profile['runtime']}"
        if profile
        else ""
    )
    return {
        "name": entry.name,
        "facts": [
            (name, value)
            for name, value in (
                ("digest", entry.artifact),
                ("precision", entry.precision.upper()),
                ("model", ", ".join(filter(None, (entry.architecture, entry.checkpoint)))),
                ("student of", entry.teacher),
                ("folder", entry.path),
                ("its FP32", f"{short(entry.reference)}, {entry.paired_by}" if entry.reference else ""),
                ("search", entry.search),
                ("measured with", measured),
                ("runtime profile", runs),
            )
            if value
        ],
    }


def _machines(report: Comparison) -> list[dict[str, str]]:
    """Return every processor that numbers were made on, and which numbers."""
    found: dict[str, list[str]] = {}
    for origin in report.provenance:
        facts = origin.cpu
        if facts:
            parts = [str(facts.get(name, "")) for name in ("model", "machine")]
            parts.append(f"{facts['cores']} cores" if facts.get("cores") else "")
            parts.append(" ".join(map(str, facts.get("instruction_sets") or ())))
            words = origin.number if origin.name == "all" else f"{origin.number} of {origin.name}"
            found.setdefault(", ".join(filter(None, parts)), []).append(words)
    return [{"cpu": cpu, "numbers": "; ".join(numbers)} for cpu, numbers in found.items()]


def _versions(report: Comparison) -> list[tuple[str, str]]:
    """Return every tool with every version of it that numbers were made with."""
    found: dict[str, set[str]] = {}
    for origin in report.provenance:
        for tool, version in origin.tools.items():
            found.setdefault(tool, set()).add(version)
    return [(tool, ", ".join(sorted(versions))) for tool, versions in sorted(found.items())]
