"""A search for shapes as one page: the verdict, the picture, every candidate, every block's damages, time and place."""

from typing import Any

from quantkit.records import Sanity, ShapeBlock, ShapeCandidate, ShapeSearch
from quantkit.records.shapes import UNHEALED, OnWorkers
from quantkit.report.digits import MINUS, NONE, cut, kept, nats, parameters, short, size, times
from quantkit.report.figures.shapes import shapes_svg
from quantkit.report.groups import score_name
from quantkit.report.pages.running import REFRESH_SECONDS, Running
from quantkit.report.pages.template import render, require_jinja
from quantkit.report.widths import FLOAT, NOTE, feed_forward_of, heads_of, offers_float

_LIMITS = {
    "min_throughput": "throughput at least {:g} times the INT8 teacher's",
    "max_latency": "at most {:g} ms for one question",
    "max_parameters": "at most {:,.0f} parameters",
    "max_size_mb": "at most {:g} MB as INT8",
    "max_l3_mb": "at most {:g} MB in the L3 cache",
    "min_f1_ratio": "at least {:g} of the teacher's score before training",
}


def shapes_page(report: ShapeSearch, running: Running | None = None) -> str:
    """Return the page.

    Args:
        report: the search, or what is known of one that is not done.
        running: how far it is; None: it is done.

    Raises:
        UsageError: jinja2 or matplotlib is not installed.
    """
    require_jinja()
    from markupsafe import Markup

    # The one thing that is markup: drawn here, from numbers and from names of this package.
    picture = Markup(shapes_svg(report))  # noqa: S704
    return render("shapes", {**_words(report, running), "picture": picture})


def _words(report: ShapeSearch, running: Running | None) -> dict[str, Any]:
    """Return everything the page says, as text."""
    chosen = next(one for one in report.candidates if one.number == report.chosen)
    score = score_name(report.task)
    asked = "; ".join(
        _LIMITS.get(name, f"{name} {{:g}}").format(value) for name, value in report.limits.items()
    )
    headline = f"{parameters(chosen.parameters)} parameters at {times(chosen.throughput)} the INT8 teacher"
    return {
        "title": f"{headline} · quantkit search",
        "met": report.met,
        "running": "" if running is None else running.told("search"),
        "refresh": REFRESH_SECONDS if running is not None and not running.over else None,
        "verdict": ("✓ every limit kept" if report.met else "✕ no candidate keeps every limit")
        + ("" if running is None else " so far"),
        "headline": headline,
        "lead": (
            f"Asked: {asked}. Candidate {chosen.number} is "
            f"{'the nearest to the teacher that keeps this' if report.met else 'the nearest there was'}. "
            f"Before any training it keeps {kept(chosen.ratio)} of the FP32 teacher's {score}, "
            f"{cut(report.baseline_score, 2)}, on {report.selection_questions:,} selection questions that the gate "
            "does not use."
        ),
        "numbers": _numbers(report, chosen),
        "picture_words": (
            f"Divergence against throughput of {len(report.candidates)} models; heads and feed-forward width of each "
            "layer, chosen and teacher"
        ),
        "caption": (
            "Each candidate as predicted (small) and as measured (large), INT8, before training; below, the chosen "
            "model's layers over the teacher's. The numbers are those of the tables."
        ),
        "finalists": any(one.finalist for one in report.candidates),
        "candidates": [_candidate(one, chosen=one is chosen) for one in report.candidates],
        "score": score,
        "schemes": NOTE if offers_float(report) else "",
        "blocks": [_block(block, chosen, first) for block, first in _firsts(report)],
        "options": max((len(block.options) for block in report.blocks), default=1),
        "checks": _checks(report, report.sanity),
        "time": _duration(sum(report.seconds.values())),
        "parts": [
            {"name": name, "weight": f"{seconds:.3f}", "seconds": f"{seconds:,.1f} s"}
            for name, seconds in report.seconds.items()
        ],
        # The trials of a search that is not done say nothing of how long it takes.
        "workers": [] if running is not None else [_on_workers(one) for one in report.on_workers],
        "facts": _facts(report),
    }


def _on_workers(one: OnWorkers) -> dict[str, str]:
    built = sum(seconds for part, seconds in one.parts.items() if part.startswith("candidates"))
    damage = one.parts.get("damage", 0.0)
    return {
        "workers": f"{one.workers:,}",
        "all": _clock(one.seconds),
        "damage": _clock(damage),
        "candidates": _clock(built),
        "rest": _clock(one.seconds - damage - built),
    }


def _numbers(report: ShapeSearch, chosen: ShapeCandidate) -> list[dict[str, str]]:
    teacher = report.candidates[0]
    foretold = teacher.predicted_cost_us / chosen.predicted_cost_us
    return [
        _fact("throughput", times(chosen.throughput), f"INT8 teacher's; predicted {times(foretold)}"),
        _fact("parameters", parameters(chosen.parameters), f"of {parameters(teacher.parameters)}"),
        _fact("size as INT8", size(chosen.size_bytes), f"of {size(teacher.size_bytes)}"),
        _fact("score ratio", kept(chosen.ratio), "before training"),
        _fact(
            "expected ratio",
            kept(chosen.expected_ratio),
            f"at least {kept(chosen.expected_ratio_low)}",
        ),
        _fact(
            "divergence", f"{nats(chosen.divergence)} nats", f"INT8 teacher {nats(report.teacher_divergence)}"
        ),
    ]


def _candidate(one: ShapeCandidate, *, chosen: bool) -> dict[str, Any]:
    return {
        "number": one.number,
        "chosen": chosen,
        "limits": NONE if not one.number else "kept" if one.meets else "not kept",
        "origin": one.origin,
        "heads": heads_of(one),
        "feed_forward": feed_forward_of(one),
        "folder": one.folder,
        "parameters": parameters(one.parameters),
        "size": size(one.size_bytes),
        "l3": size(one.l3_bytes),
        "throughput": times(one.throughput),
        "spread": NONE if one.throughput_spread is None else " to ".join(map(times, one.throughput_spread)),
        "cost": f"{one.cost_us:,.0f}",
        "foretold_cost": f"{one.predicted_cost_us:,.0f}",
        "divergence": nats(one.divergence),
        "damage": NONE if one.origin in UNHEALED else nats(one.predicted_damage),
        "ratio": kept(one.ratio),
        "expected": kept(one.expected_ratio_low),
    }


def _firsts(report: ShapeSearch) -> list[tuple[ShapeBlock, bool]]:
    """Return every block, and whether it is the first of its layer."""
    layers = [_layer(block) for block in report.blocks]
    return [
        (block, not place or layers[place] != layers[place - 1]) for place, block in enumerate(report.blocks)
    ]


def _layer(block: ShapeBlock) -> str:
    return block.slot.split(".")[1]


def _left(block: ShapeBlock, chosen: ShapeCandidate) -> int:
    of = chosen.heads if block.slot.endswith(".attention") else chosen.feed_forward
    return of[int(_layer(block))]


def _block(block: ShapeBlock, chosen: ShapeCandidate, first: bool) -> dict[str, Any]:
    left = _left(block, chosen), "float" if block.slot in chosen.float_blocks else "int8"
    return {
        "layer": _layer(block) if first else "",
        "first": first,
        "kind": block.slot.split(".")[2].replace("_", "-"),
        "cells": [
            {
                "units": f"{option.units:,}{FLOAT if option.scheme == 'float' else ''}",
                "damage": nats(option.damage),
                "cost": f"{option.cost_us:,.0f}",
                "chosen": (option.units, option.scheme) == left,
            }
            for option in block.options
        ],
    }


def _checks(report: ShapeSearch, sanity: Sanity | None) -> list[dict[str, str]]:
    found = [
        _fact("predicted cost", f"{100 * report.price_error:.1f} % off in the median"),
        _fact(
            "predicted and measured damage",
            f"rank correlation {report.rank_correlation:.2f}".replace("-", MINUS),
        ),
    ]
    if sanity is not None:
        found += [
            _fact(
                "units in reverse order",
                f"{nats(sanity.reverse_divergence)} nats; in order {nats(sanity.order_divergence)}",
            ),
            _fact(
                "checkpoint and what was judged", f"logits differ by {nats(sanity.sliced_difference)} at most"
            ),
            _fact("full widths and the teacher", f"logits differ by {nats(sanity.full_difference)} at most"),
        ]
    return found


def _facts(report: ShapeSearch) -> list[dict[str, str]]:
    cpu = {
        name: ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
        for name, value in report.cpu.items()
    }
    return [
        _fact("teacher", f"{report.family}, {short(report.teacher)}"),
        _fact(
            "questions",
            f"{report.data_questions:,} for moments, {report.damage_questions:,} for damage, "
            f"{report.selection_questions:,} to judge on",
        ),
        _fact("data", f"{short(report.data_digest)}, selection {short(report.selection_digest)}"),
        _fact("timed", f"{report.rows:,} rows of {report.tokens:,} tokens"),
        *(
            _fact(name.replace("_", " "), str(value))
            for name, value in cpu.items()
            if value not in (None, "")
        ),
        _fact("versions", ", ".join(f"{name} {version}" for name, version in report.tools.items())),
    ]


def _fact(name: str, value: str, note: str = "") -> dict[str, str]:
    return {"name": name, "value": value, "note": note}


def _duration(seconds: float) -> str:
    return f"{_clock(seconds)} in all."


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
