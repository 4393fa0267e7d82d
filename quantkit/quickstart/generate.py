"""Generates the call-centre passages and questions of the quickstart, in SQuAD v1.1 format.

    python -m quantkit.quickstart.generate           write the committed files again, byte for byte
    python -m quantkit.quickstart.generate --check   write nothing, fail when a file is not what it generates

What is said and asked stands in `data/cases.yaml`; values come from `values.py`. Three parts: **training**
(as many passages as wanted, never committed), **calibration** (`calibration/callcentre/calibration.json`) and
**heldout** (`data/callcentre-heldout.json`). No passage is in two parts, and the people, products, places,
amounts and reference numbers of the held-out part occur in no other part. The wording of sentences and
questions is shared by all parts.
"""

import argparse
import functools
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from quantkit.errors import DatasetError, QuantkitError
from quantkit.files import write_text
from quantkit.quickstart.values import Dice, Part, Value, hire_writer, roll
from quantkit.shipped import calibration_folder

Style = Literal["note", "talk", "guide"]
STYLES: tuple[Style, ...] = ("note", "talk", "guide")

HELDOUT = Path(__file__).parent / "data" / "callcentre-heldout.json"
CALIBRATION = calibration_folder() / "callcentre" / "calibration.json"

_CASES = Path(__file__).parent / "data" / "cases.yaml"
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")
_VOWELS = "aeiou"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One thing a passage can say: its sentences by style, and the questions it answers by slot."""

    sentences: Mapping[Style, tuple[str, ...]]
    ask: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Department:
    """A kind of case: the title of its article, the type of each slot, and what can be said.

    Attributes:
        title: of the article.
        slots: name -> type (see `data/cases.yaml`).
        shared: what every department can say; the first two facts open a passage.
        facts: what only this one says.
        filler: sentences that say nothing that is asked.
    """

    title: str
    slots: Mapping[str, str]
    shared: tuple[Fact, ...]
    facts: tuple[Fact, ...]
    filler: Mapping[Style, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A right answer: text, and its first character in the passage."""

    text: str
    answer_start: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question about a slot; the first answer is the full form that the passage uses."""

    id: str
    slot: str
    question: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A passage, its questions, and where the value of each of its slots stands, in full."""

    title: str
    context: str
    questions: tuple[Question, ...]
    values: Mapping[str, Answer]


@functools.cache
def departments() -> tuple[Department, ...]:
    """Read `data/cases.yaml`.

    Raises:
        DatasetError: a sentence or question names a slot that is not declared.
    """
    cases = yaml.safe_load(_CASES.read_text(encoding="utf-8"))
    shared = cases["shared"]
    filler: dict[Style, tuple[str, ...]] = {style: tuple(shared["filler"][style]) for style in STYLES}
    found = []
    for entry in cases["departments"]:
        slots = shared["slots"] | entry["slots"] | {"topic": "one of " + " | ".join(entry["topics"])}
        common, own = (tuple(_fact(fact) for fact in facts) for facts in (shared["facts"], entry["facts"]))
        for text in (text for fact in common + own for text in _texts(fact)):
            if unknown := set(_SLOT.findall(text)) - set(slots):
                place = f"{_CASES.name}: {entry['title']}: {text!r}"
                raise DatasetError(f"{place} names unknown slots {sorted(unknown)}; declare them")
        found.append(Department(title=entry["title"], slots=slots, shared=common, facts=own, filler=filler))
    return tuple(found)


def slot_names() -> list[str]:
    """Return every slot as `title/slot`, shared ones once as `/slot`."""
    return sorted(
        {full_name(department.title, slot) for department in departments() for slot in department.slots}
    )


@functools.cache
def full_name(title: str, slot: str) -> str:
    """Return `title/slot`, or `/slot` for a slot that every department has."""
    shared = all(slot in department.slots for department in departments())
    return f"/{slot}" if shared else f"{title}/{slot}"


def _texts(fact: Fact) -> Iterator[str]:
    for texts in (*fact.sentences.values(), *fact.ask.values()):
        yield from texts


def _fact(entry: dict[str, Any]) -> Fact:
    sentences = {style: tuple(entry[style]) for style in STYLES if style in entry}
    return Fact(sentences=sentences, ask={slot: tuple(texts) for slot, texts in entry["ask"].items()})


class Draft:
    """A passage being written: its values, its text and where each value stands."""

    def __init__(self, department: Department, part: Part, dice: Dice) -> None:
        self._department, self._dice = department, dice
        self._writer = hire_writer(dice, part)
        self._values: dict[str, Value] = {}
        self._starts: dict[str, int] = {}
        self._names = dice.pick((("Caller", "Agent"), ("Customer", "Adviser"), ("Caller", "Adviser")))
        self.text = ""

    def value(self, slot: str) -> Value:
        """Return the passage's value of a slot; no two slots share one."""
        while slot not in self._values:
            value = roll(self._department.slots[slot], self._writer)
            if all(value.text != other.text for other in self._values.values()):
                self._values[slot] = value
        return self._values[slot]

    def choose(self, template: str) -> str:
        """Settle every `[a|b]` of a template."""
        return _CHOICE.sub(lambda match: self._dice.pick(match[1].split("|")), template)

    def add(self, template: str, style: Style) -> None:
        """Append a sentence (or a line of a transcript) and note where its values stand."""
        template = self.choose(template)
        if style == "talk":
            speaker, _, template = template.partition(": ")
            self.text += ("\n" if self.text else "") + self._names["CA".index(speaker)] + ": "
        elif self.text:
            self.text += " "
        first = len(self.text)
        for index, piece in enumerate(_SLOT.split(template)):
            if index % 2 == 0:
                self.text += piece
                continue
            value = self.value(piece)
            if self.text.endswith((" a ", "A ")) and value.text[0].lower() in _VOWELS:
                self.text = self.text[:-1] + "n "
            self._starts[piece] = len(self.text)
            self.text += value.text
        self.text = self.text[:first] + self.text[first].upper() + self.text[first + 1 :]

    def ask(self, slot: str, template: str) -> Question:
        """Return a question about a slot that has been written."""
        question = _SLOT.sub(lambda match: self.value(match[1]).text, self.choose(template))
        start, value, full = self._starts[slot], self.value(slot), self.found(slot)
        shorter = (Answer(text=text, answer_start=start + value.text.index(text)) for text in value.also)
        key = "\0".join((self._department.title, self.text, question))
        name = hashlib.sha256(key.encode()).hexdigest()[:24]
        return Question(id=name, slot=slot, question=question, answers=(full, *shorter))

    def found(self, slot: str) -> Answer:
        """Return where the value of a slot stands, as the text has it."""
        start = self._starts[slot]
        return Answer(text=self.text[start : start + len(self.value(slot).text)], answer_start=start)

    def written(self) -> list[str]:
        """Return the slots that the text speaks of."""
        return list(self._starts)


def write_passage(
    department: Department, part: Part, dice: Dice, *, size: float, questions: int, long: bool = False
) -> Passage:
    """Write one passage and ask about it.

    Args:
        department: the kind of case.
        part: whose values it may speak of.
        dice: the source of every choice.
        size: share (0 to 1) of what could be said that is said.
        questions: how many questions to ask, at most one per slot.
        long: say everything, a case note and then the rules for the desk: several windows of 384 tokens.
    """
    draft = Draft(department, part, dice)
    style: Style = "note" if long else dice.pick(("note", "note", "note", "talk", "talk", "guide"))
    said: list[Fact] = []
    if long:
        for block in ("note", "guide"):
            facts = [fact for fact in (*department.shared, *department.facts) if block in fact.sentences]
            _write_block(draft, department, dice.shuffled(facts), block, dice, filler=1.0)
            said += facts
    else:
        if style == "guide":
            draft.add(f"{department.title}: [what to tell customers|rules for the desk|our terms].", style)
        said = _choose_facts(department, style, dice, size)
        _write_block(draft, department, said, style, dice, filler=0.15 + 0.3 * size)
    values = {slot: draft.found(slot) for slot in draft.written()}
    askable = [(slot, texts) for fact in said for slot, texts in fact.ask.items() if slot in values]
    asked = tuple(draft.ask(slot, dice.pick(texts)) for slot, texts in dice.shuffled(askable)[:questions])
    return Passage(title=department.title, context=draft.text, questions=asked, values=values)


def _choose_facts(department: Department, style: Style, dice: Dice, size: float) -> list[Fact]:
    """Return some of the facts: the opening, then the department's own with the shared ones around them."""
    shared = [fact for fact in department.shared if style in fact.sentences]
    own = [fact for fact in department.facts if style in fact.sentences]
    opening, closing = shared[:2], shared[2:]
    own = dice.shuffled(own)[: max(2, round(size * len(own)))]
    closing = dice.shuffled(closing)[: round(size * len(closing))]
    opening = [fact for fact in opening if dice.chance(0.4 + 0.5 * size)]
    if dice.chance(0.5):
        return [*opening, *own, *closing]
    return [*opening, *dice.shuffled([*own, *closing])]


def _write_block(
    draft: Draft, department: Department, facts: Sequence[Fact], style: Style, dice: Dice, *, filler: float
) -> None:
    """Write the facts, each followed by a filler sentence with probability `filler`."""
    rest = dice.shuffled(department.filler[style])
    for fact in facts:
        draft.add(dice.pick(fact.sentences[style]), style)
        if rest and dice.chance(filler):
            draft.add(rest.pop(), style)


def write_training(
    seed: str, questions: int, *, size: tuple[float, float] = (0.0, 1.0), long: float = 0.0
) -> Iterator[Passage]:
    """Yield training passages without end, none of them a calibration passage.

    Args:
        seed: of the choices.
        questions: asked per passage, at most.
        size: range of the share of what could be said that a passage says; short passages teach faster.
        long: share of passages that say everything; they are asked a third of the questions.
    """
    kept = {passage.context for passage in calibration_passages()}
    dice = Dice(f"training {seed}")
    while True:
        share = size[0] + (size[1] - size[0]) * dice.below(101) / 100
        is_long = dice.chance(long)
        asked = questions // 3 if is_long else questions
        department = dice.pick(departments())
        passage = write_passage(department, "training", dice, size=share, questions=asked, long=is_long)
        if passage.context not in kept:
            yield passage


def calibration_passages() -> tuple[Passage, ...]:
    """Return the calibration part: three passages of every department, 120 questions."""
    return tuple(_part("calibration", passages=3, questions=(3, 2), long=()))


def heldout_passages() -> tuple[Passage, ...]:
    """Return the held-out part: eight passages of every department; every second one has a long passage."""
    return tuple(_part("heldout", passages=8, questions=(4,), long=range(0, len(departments()), 2)))


def _part(part: Part, *, passages: int, questions: Sequence[int], long: Sequence[int]) -> Iterator[Passage]:
    dice = Dice(f"{part} 1")
    for number, department in enumerate(departments()):
        for index in range(passages):
            asked = questions[(number + index) % len(questions)]
            share, is_long = (index + 0.5) / passages, number in long and index == passages - 1
            yield write_passage(department, part, dice, size=share, questions=asked, long=is_long)


def squad_json(passages: Sequence[Passage]) -> str:
    """Return passages as the text of a SQuAD v1.1 file, one article per title."""
    articles: dict[str, list[dict[str, Any]]] = {}
    for passage in passages:
        asked = [
            {"id": item.id, "question": item.question, "answers": [asdict(answer) for answer in item.answers]}
            for item in passage.questions
        ]
        articles.setdefault(passage.title, []).append({"context": passage.context, "qas": asked})
    data = [{"title": title, "paragraphs": paragraphs} for title, paragraphs in articles.items()]
    return json.dumps({"version": "1.1", "data": data}, indent=1, ensure_ascii=False) + "\n"


def committed_files() -> dict[Path, str]:
    """Return the text that each committed file must have."""
    from quantkit.quickstart.other_tasks import task_files  # it is made of the passages here

    return {
        CALIBRATION: squad_json(calibration_passages()),
        HELDOUT: squad_json(heldout_passages()),
        **task_files(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the committed files and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m quantkit.quickstart.generate", description="Generate the quickstart's questions."
    )
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a file differs")
    options = parser.parse_args(arguments)
    try:
        for path, text in committed_files().items():
            if not options.check:
                write_text(path, text)
            elif not path.exists() or path.read_text(encoding="utf-8") != text:
                raise DatasetError(f"{path}: is not what the generator writes; run it without --check")
    except QuantkitError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
