"""A search as one page: the verdict, every candidate drawn and listed, every group's choices, time and place."""

from dataclasses import dataclass
from typing import Any

from quantkit.records.search import CandidateRecord, GroupRecord, OptionRecord, SearchReport
from quantkit.report.digits import coverage, cut, kept, nats, short, times
from quantkit.report.figures.pareto import pareto_svg
from quantkit.report.groups import Place, places, score_name
from quantkit.report.pages.template import render, require_jinja


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fact:
    """A name, its value, and what else there is to say."""

    name: str
    value: str
    note: str = ""


def search_page(report: SearchReport, *, recipe: str = "") -> str:
    """Return the page.

    Args:
        report: the search.
        recipe: the text of the recipe that makes the result again; the page leaves it out when empty.

    Raises:
        UsageError: jinja2 or matplotlib is not installed.
    """
    require_jinja()
    from markupsafe import Markup

    # The one thing that is markup: drawn here, from numbers alone.
    picture = Markup(pareto_svg(report))  # noqa: S704
    return render("search", {**_words(report), "picture": picture, "recipe": recipe})


def _words(report: SearchReport) -> dict[str, Any]:
    """Return everything the page says, as text."""
    chosen = next(found for found in report.candidates if found.number == report.chosen)
    score, target = score_name(report.task), f"{100 * report.target:g} %"
    speed = times(chosen.throughput)
    named = places([group.sensitivity for group in report.groups])
    labels = tuple(dict.fromkeys(option.label for group in report.groups for option in group.options))
    total = sum(report.seconds.values())
    together = any(found.finalist for found in report.candidates)
    return {
        "title": f"{score} {kept(chosen.ratio)} at {speed} · quantkit search",
        "met": report.met,
        "verdict": f"✓ target of {target} met" if report.met else f"✕ target of {target} missed",
        "headline": f"{kept(chosen.ratio)} of the FP32 {score} at {speed} its throughput",
        "lead": (
            f"Candidate {chosen.number} of {len(report.candidates)}, "
            f"{_place(report, chosen)}, on "
            f"{report.selection_questions:,} questions of {report.selection} that the gate does not use. "
            f"FP32 scores {cut(report.baseline_score, 3)} there.{_judged(report, chosen)}"
        ),
        "numbers": _numbers(report, chosen),
        "picture_words": f"{score} against throughput of {len(report.candidates)} candidates and of FP32",
        "caption": f"Every candidate on {report.selection}; the numbers are those of the table.",
        "candidates": [
            _candidate(found, chosen=found is chosen, alone=together and not found.finalist)
            for found in report.candidates
        ],
        "together": together,
        "labels": labels,
        "groups": [
            _group(group, place, labels, first=row == 0 or place.layer != named[row - 1].layer)
            for row, (group, place) in enumerate(zip(report.groups, named, strict=True))
        ],
        "time": f"{_duration(total)} in all, {report.peak_memory_mb:,.0f} MB of memory at most.",
        "parts": [
            {
                "name": name,
                "weight": f"{seconds:.3f}",
                "seconds": f"{seconds:,.1f} s, {_share(seconds, total)}",
            }
            for name, seconds in report.seconds.items()
        ],
        "facts": _facts(report),
    }


def _place(report: SearchReport, chosen: CandidateRecord) -> str:
    """Say which of the candidates was chosen, as the table shows it."""
    if not report.met:
        return "the best there was"
    if chosen.throughput >= max(found.throughput for found in report.candidates if found.passed):
        return "the fastest that meets the target"
    return "which diverges least of the fast ones that meet the target"


def _judged(report: SearchReport, chosen: CandidateRecord) -> str:
    """Explain a verdict that the measured ratio alone would contradict."""
    if (chosen.ratio >= report.target) == report.met:
        return ""
    return (
        f" The verdict is by the expected ratio, which a few answers more or less do not move: at least "
        f"{kept(chosen.expected_ratio_low)} with {100 * report.confidence:g} % confidence."
    )


def _numbers(report: SearchReport, chosen: CandidateRecord) -> list[_Fact]:
    slow, fast = chosen.throughput_spread
    bound = f"at least {kept(chosen.expected_ratio_low)} with {100 * report.confidence:g} % confidence"
    return [
        _Fact(
            name=f"{score_name(report.task)} ratio",
            value=kept(chosen.ratio),
            note=f"target {100 * report.target:g} %",
        ),
        _Fact(name="expected ratio", value=kept(chosen.expected_ratio), note=bound),
        _Fact(
            name="throughput",
            value=times(chosen.throughput),
            note=f"{slow:.2f} to {fast:.2f} times FP32",
        ),
        _Fact(
            name="questions changed", value=f"{100 * chosen.changed:.2f} %", note="another score than FP32's"
        ),
        _Fact(
            name="INT8 coverage",
            value=coverage(chosen.int8_coverage),
            note="of the multiply-accumulates",
        ),
        _Fact(name="size", value=f"{chosen.size_bytes / 1e6:,.1f} MB", note="of the model"),
    ]


def _candidate(found: CandidateRecord, *, chosen: bool, alone: bool) -> dict[str, Any]:
    slow, fast = found.throughput_spread
    met = "met" if found.passed else "missed"
    return {
        "number": found.number,
        "chosen": chosen,
        "origin": found.origin,
        "choices": ", ".join(f"{count} {label}" for label, count in found.choices.items() if count),
        "ratio": kept(found.ratio),
        "expected": kept(found.expected_ratio),
        "expected_low": kept(found.expected_ratio_low),
        "throughput": times(found.throughput),
        "spread": f"{slow:.2f} to {fast:.2f}{', alone' if alone else ''}",
        "changed": f"{100 * found.changed:.2f} %",
        "divergence": nats(found.divergence),
        "predicted": nats(found.predicted_damage),
        "coverage": coverage(found.int8_coverage),
        "size": f"{found.size_bytes / 1e6:,.1f} MB",
        "verdict": met,
    }


def _group(group: GroupRecord, place: Place, labels: tuple[str, ...], *, first: bool) -> dict[str, Any]:
    options = {option.label: option for option in group.options}
    measured = group.sensitivity
    return {
        "layer": "" if place.layer is None or not first else str(place.layer),
        "first": first,
        "group": group.group,
        "kind": place.kind,
        "damage": nats(measured.damage),
        "changed": f"{100 * measured.changed:.2f} %",
        "cells": [_cell(options.get(label), chosen=label == group.chosen) for label in labels],
    }


def _cell(option: OptionRecord | None, *, chosen: bool) -> dict[str, Any] | None:
    if option is None:
        return None
    return {"damage": nats(option.damage), "cost": f"{option.cost_us:,.0f}", "chosen": chosen}


def _facts(report: SearchReport) -> list[_Fact]:
    cpu = {
        name: ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
        for name, value in report.cpu.items()
    }
    return [
        _Fact(name="FP32 artifact", value=report.artifact),
        _Fact(
            name="selection",
            value=f"{report.selection}, {report.selection_questions:,} questions, {short(report.selection_digest)}",
        ),
        _Fact(
            name="calibration",
            value=f"{report.calibration_questions:,} questions, {short(report.calibration_digest)}",
        ),
        _Fact(name="made for", value=report.target_isa),
        _Fact(name="validated on", value=", ".join(report.validated_on) or "nothing yet"),
        *(
            _Fact(name=name.replace("_", " "), value=str(value))
            for name, value in cpu.items()
            if value not in (None, "")
        ),
        _Fact(
            name="versions", value=", ".join(f"{name} {version}" for name, version in report.tools.items())
        ),
    ]


def _share(seconds: float, total: float) -> str:
    return f"{100 * seconds / total:.0f} %" if total else "0 %"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
