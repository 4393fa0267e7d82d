"""A small real file for each task, made of the call centre's passages: what recipes name until you name your own.

Each task has two: one to evaluate on, in `data/`, of the held-out part, and one to calibrate on, of the calibration
part. They are small: to try a line on, and to see what a file looks like. `quantkit.quickstart.generate` writes them.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from quantkit.quickstart.generate import (
    STYLES,
    Department,
    Draft,
    Fact,
    Passage,
    departments,
    full_name,
    write_passage,
)
from quantkit.quickstart.values import Dice, Part
from quantkit.shipped import calibration_folder

Rows = list[dict[str, Any]]
_DATA = Path(__file__).parent / "data"
_EACH = {"heldout": 4, "calibration": 2}
"""Rows of every department; half as many queries for reranking."""
_SIZE = 0.12  # of what a passage could say
_OTHERS = 3  # passages beside the right one
_DETAILS = {
    "person": "person",
    "agent": "person",
    "city": "place",
    "address": "place",
    "day": "time",
    "time": "time",
    "money": "amount",
    "phone": "contact",
    "code": "reference",
}
"""Type of a slot → what a passage that has it mentions."""
_NAMES = {"person": "PER", "place": "LOC"}
_WORD = re.compile(r"\w+|[^\w\s]")


def task_files() -> dict[Path, str]:
    """Return the text of each file."""
    return {
        path: text
        for name, write in _WRITERS.items()
        for path, text in (
            (_DATA / _called(name), write("heldout")),
            (calibration_folder() / name / _called("calibration", like=name), write("calibration")),
        )
    }


def _called(stem: str, like: str = "") -> str:
    return f"{stem}.txt" if (like or stem) == "callcentre-names" else f"{stem}.json"


def _passages(part: Part, what: str) -> Iterator[tuple[Department, Passage]]:
    """Yield short passages of every department, others for each purpose."""
    dice = Dice(f"{part} {what} 1")
    for department in departments():
        for _ in range(_EACH[part]):
            yield department, write_passage(department, part, dice, size=_SIZE, questions=3)


def _said(department: Department, passage: Passage) -> dict[str, str]:
    """Return slot → what it mentions, for the slots that are mentioned in a passage."""
    kinds = {slot: department.slots[slot].partition(" ")[0] for slot in passage.values}
    return {slot: _DETAILS[kind] for slot, kind in kinds.items() if kind in _DETAILS}


def _json(part: Part, rows: Rows) -> str:
    """Return rows as a JSON list, one a line, with ids that no other part has: a gate leaves out calibrated ids."""
    named = [{"id": f"{part}-{number}", **row} for number, row in enumerate(rows, start=1)]
    return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in named) + "\n]\n"


def _departments(part: Part) -> str:
    return _json(
        part, [{"text": made.context, "label": made.title} for _, made in _passages(part, "departments")]
    )


def _details(part: Part) -> str:
    return _json(
        part,
        [
            {"text": made.context, "labels": sorted(set(_said(department, made).values()))}
            for department, made in _passages(part, "details")
        ],
    )


def _lengths(part: Part) -> str:
    return _json(
        part, [{"text": made.context, "score": len(made.values)} for _, made in _passages(part, "lengths")]
    )


def _passages_of_queries(part: Part) -> str:
    asked = [(made, question) for _, made in _passages(part, "passages") if (question := _own_question(made))]
    dice = Dice(f"{part} order 1")
    rows = []
    for number, (made, question) in enumerate(asked[:: _EACH["calibration"]], start=1):
        others = dice.shuffled([other.context for other, _ in asked if other is not made])[:_OTHERS]
        passages = dice.shuffled([(made.context, 1), *((text, 0) for text in others)])
        rows += [
            {"query_id": f"{part}-q{number}", "query": question, "passage": text, "relevance": relevance}
            for text, relevance in passages
        ]
    return _json(part, rows)


def _own_question(made: Passage) -> str | None:
    """Return a question that no other department's passage answers."""
    own = [asked for asked in made.questions if not full_name(made.title, asked.slot).startswith("/")]
    return own[0].question if own else None


def _names(part: Part) -> str:
    """Return CoNLL: a word and its tag a line, a blank line after each passage."""
    lines: list[str] = []
    for department, made in _passages(part, "names"):
        kinds = {slot: _NAMES[what] for slot, what in _said(department, made).items() if what in _NAMES}
        spans = [
            (
                made.values[slot].answer_start,
                made.values[slot].answer_start + len(made.values[slot].text),
                kind,
            )
            for slot, kind in kinds.items()
        ]
        for found in _WORD.finditer(made.context):
            inside = [(begin, kind) for begin, end, kind in spans if begin <= found.start() < end]
            tag = "O" if not inside else f"{'B' if inside[0][0] == found.start() else 'I'}-{inside[0][1]}"
            lines.append(f"{found[0]} {tag}")
        lines.append("")
    return "\n".join(lines)


def _pairs(part: Part) -> str:
    dice = Dice(f"{part} pairs 1")
    rows: Rows = []
    for department in departments():
        elsewhere = dice.pick([other for other in departments() if other.title != department.title])
        for fact in dice.shuffled(_worded(department))[: _EACH[part] // 2]:
            draft = Draft(department, part, dice)
            one, same = (_sentence(draft, text) for text in dice.shuffled(fact.sentences["note"])[:2])
            other = dice.pick([other for other in _worded(department) if other is not fact])
            likes = {
                3: same,
                2: _sentence(Draft(department, part, dice), dice.pick(fact.sentences["note"])),
                1: _sentence(Draft(department, part, dice), dice.pick(other.sentences["note"])),
                0: _sentence(
                    Draft(elsewhere, part, dice), dice.pick(dice.pick(_worded(elsewhere)).sentences["note"])
                ),
            }
            rows += [
                {"sentence1": one, "sentence2": text, "score": score, "group": department.title}
                for score, text in likes.items()
            ]
    return _json(part, rows)


def _worded(department: Department) -> list[Fact]:
    """Return a department's own facts that a case note can say in two ways."""
    return [fact for fact in department.facts if len(fact.sentences.get(STYLES[0], ())) > 1]


def _sentence(draft: Draft, template: str) -> str:
    """Return one more sentence of a draft, alone."""
    begin = len(draft.text)
    draft.add(template, "note")
    return draft.text[begin:].strip()


_WRITERS: dict[str, Callable[[Part], str]] = {
    "callcentre-departments": _departments,
    "callcentre-details": _details,
    "callcentre-lengths": _lengths,
    "callcentre-passages": _passages_of_queries,
    "callcentre-names": _names,
    "callcentre-pairs": _pairs,
}
"""Name of a dataset, and of its calibration set → what writes the file of a part."""
