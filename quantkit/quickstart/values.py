"""Values that call-centre passages speak of: people, products, places, dates, amounts, reference numbers.

Every open-ended value belongs either to the held-out part or to training and calibration, by the hash of its
text, so that a held-out passage speaks of people, products and amounts that the model was not trained on.
"""

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Literal, TypeVar

import yaml

from quantkit.errors import DatasetError

T = TypeVar("T")
Part = Literal["training", "calibration", "heldout"]

_WORDS = Path(__file__).parent / "data" / "words.yaml"
_TITLES = ("Ms", "Mr", "Mrs", "Dr")
_ONSETS = (*"bcdfghjklmnprstvwyz", "ch", "sh", "br", "gr", "st", "")
_VOWELS = (*"aeiouaeio", "ia", "ee")
_CODAS = (*"nrlsmtkd", "", "", "", "", "", "")
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven")
_MEASURES = ("GB", "kg", "Mbit")  # never written after a number word
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_FAR = 200  # days from the opening of the case beyond which a date says its year


class Dice:
    """Seeded choices, built on `Random.random` alone: the method whose sequence Python promises to keep."""

    def __init__(self, seed: str) -> None:
        """Seed the sequence with a text."""
        digest = hashlib.sha256(seed.encode()).digest()
        self._random = Random(int.from_bytes(digest[:8], "big"))  # noqa: S311  (wording, not cryptography)

    def below(self, count: int) -> int:
        """Return an integer from 0 to `count` - 1."""
        return int(self._random.random() * count)

    def between(self, low: int, high: int) -> int:
        """Return an integer from `low` to `high`, both included."""
        return low + self.below(high - low + 1)

    def chance(self, share: float) -> bool:
        """Return True in `share` (0 to 1) of the calls."""
        return self._random.random() < share

    def pick(self, items: Sequence[T]) -> T:
        """Return one of `items`."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return the items in random order."""
        rest = list(items)
        return [rest.pop(self.below(len(rest))) for _ in range(len(rest))]


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """A value as a passage writes it, and the shorter forms of it that are right answers too."""

    text: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Writer:
    """Who writes a passage: for which part, when, and with which habits.

    Attributes:
        dice: the source of every choice.
        part: whose values may be used.
        opened: the day the case was opened.
        date_style: one of 6 ways to write a date.
        time_style: one of 3 ways to write a time.
        money_style: one of 4 ways to write an amount.
    """

    dice: Dice
    part: Part
    opened: date
    date_style: int
    time_style: int
    money_style: int


def hire_writer(dice: Dice, part: Part) -> Writer:
    """Choose the writer of one passage."""
    return Writer(
        dice=dice,
        part=part,
        opened=date(2024, 1, 1) + timedelta(days=dice.below(900)),
        date_style=dice.below(6),
        time_style=dice.below(3),
        money_style=dice.below(4),
    )


def in_heldout(text: str) -> bool:
    """Return whether an open-ended value belongs to the held-out part: one in four, by its text's hash."""
    return hashlib.sha256(text.encode()).digest()[0] < 64


def roll(kind: str, writer: Writer) -> Value:
    """Return a value of a slot type such as `person`, `day 4` or `money 10 50` (see `data/cases.yaml`).

    Raises:
        DatasetError: the type is not known.
    """
    name, _, rest = kind.partition(" ")
    if name not in _KINDS:
        raise DatasetError(f"cases.yaml: unknown slot type {kind!r}; use one listed at the head of the file")
    return _KINDS[name](writer, rest)


@functools.cache
def _words() -> dict[str, list[str]]:
    lists: dict[str, str] = yaml.safe_load(_WORDS.read_text(encoding="utf-8"))
    return {name: words.split() for name, words in lists.items()}


def _owned(writer: Writer, draw: Callable[[], str]) -> str:
    """Draw until the value belongs to the writer's part."""
    text = draw()
    while in_heldout(text) != (writer.part == "heldout"):
        text = draw()
    return text


def _joined(writer: Writer, *lists: str, by: str = " ") -> str:
    return _owned(writer, lambda: by.join(writer.dice.pick(_words()[name]) for name in lists))


def _roll_one(writer: Writer, rest: str) -> Value:
    return Value(text=writer.dice.pick([item.strip() for item in rest.removeprefix("of ").split("|")]))


def _name(writer: Writer, names: str) -> str:
    """Return a name from a list; every second one for training is made up, as lists are short."""
    if writer.part != "training" or writer.dice.chance(0.5):
        return _joined(writer, names)
    dice = writer.dice

    def invent() -> str:
        syllables = (
            dice.pick(_ONSETS) + dice.pick(_VOWELS) + dice.pick(_CODAS) for _ in range(dice.between(1, 3))
        )
        return "".join(syllables).capitalize()

    return _owned(writer, invent)


def name_words() -> set[str]:
    """Return every word, in lower case, that can be the listed name of a person or the name of a place."""
    words = _words()
    places = {head + tail for head in words["place_heads"] for tail in words["place_tails"]}
    return {word.lower() for word in (*words["first_names"], *words["surnames"], *places)}


def _roll_agent(writer: Writer, rest: str) -> Value:  # noqa: ARG001
    return Value(text=_name(writer, "first_names"))


def _roll_product(writer: Writer, rest: str) -> Value:  # noqa: ARG001
    return Value(text=_joined(writer, "product_kinds", "products"))


def _roll_device(writer: Writer, rest: str) -> Value:  # noqa: ARG001
    return Value(text=_joined(writer, "brands", "models"))


def _roll_plan(writer: Writer, rest: str) -> Value:  # noqa: ARG001
    return Value(text=_joined(writer, "plan_kinds", "plan_sizes"))


def _roll_city(writer: Writer, rest: str) -> Value:  # noqa: ARG001
    return Value(text=_joined(writer, "place_heads", "place_tails", by=""))


def _roll_address(writer: Writer, rest: str) -> Value:
    number, street = writer.dice.between(1, 250), writer.dice.pick(_words()["streets"])
    return Value(text=f"{number} {_roll_city(writer, rest).text} {street}")


def _roll_person(writer: Writer, rest: str) -> Value:
    dice = writer.dice
    surname = _name(writer, "surnames") if dice.chance(0.4) else _roll_city(writer, rest).text
    first, title = _name(writer, "first_names"), dice.pick(_TITLES)
    forms = (
        Value(text=f"{first} {surname}"),
        Value(text=f"{title} {surname}", also=(surname,)),
        Value(text=f"{title} {first} {surname}", also=(f"{first} {surname}",)),
    )
    return dice.pick(forms)


def _roll_phone(writer: Writer, rest: str) -> Value:  # noqa: ARG001
    def draw() -> str:
        return " ".join(
            f"{writer.dice.between(low, high)}" for low, high in ((20, 79), (2000, 9999), (1000, 9999))
        )

    return Value(text=_owned(writer, lambda: f"0{draw()}"))


def _roll_code(writer: Writer, rest: str) -> Value:
    prefix, digits = rest.split()
    low = 10 ** (int(digits) - 1)
    return Value(text=_owned(writer, lambda: f"{prefix}-{writer.dice.between(low, 10 * low - 1)}"))


def _roll_time(writer: Writer, rest: str) -> Value:
    low, high = map(int, rest.split())
    hour, minute = writer.dice.between(low, high), writer.dice.pick((0, 5, 10, 15, 20, 30, 40, 45, 50))
    if writer.time_style == 0:
        return Value(text=f"{hour}:{minute:02d}")
    on_clock = hour if hour <= 12 else hour - 12
    exact = "" if minute == 0 and writer.time_style == 2 else f":{minute:02d}"
    return Value(text=f"{on_clock}{exact} {'am' if hour < 12 else 'pm'}")


def _roll_day(writer: Writer, rest: str) -> Value:
    offset = int(rest)
    drift = writer.dice.below(2 + abs(offset) // 2)
    day = writer.opened + timedelta(days=offset + (drift if offset >= 0 else -drift))
    month, number = _MONTHS[day.month - 1], day.day
    year = f" {day.year}" if abs(offset) >= _FAR else ""
    ordinal = f"{number}{_ordinal_suffix(number)} of {month}{year}"
    plain = f"{number} {month}{year}"
    forms = (
        Value(text=plain),
        Value(text=f"{month} {number}" + (f",{year}" if year else "")),
        Value(text=f"the {ordinal}", also=(ordinal,)),
        Value(text=f"{_WEEKDAYS[day.weekday()]} {plain}", also=(plain,)),
        Value(text=f"{number} {month} {day.year}", also=(f"{number} {month}",)),
        Value(text=f"{number:02d}/{day.month:02d}/{day.year}"),
    )
    return forms[writer.date_style]


def _ordinal_suffix(number: int) -> str:
    if 10 <= number % 100 <= 20:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def _roll_money(writer: Writer, rest: str) -> Value:
    dice, (low, high) = writer.dice, map(int, rest.split())

    def draw() -> str:
        cents = 0 if low > 2 and dice.chance(0.3) else dice.between(1, 99)
        amount = dice.between(low, high - 1)
        return f"{amount}.{cents:02d}" if cents else f"{amount}"

    text = _owned(writer, draw)
    return Value(text=(f"£{text}", f"${text}", f"€{text}", f"{text} euros")[writer.money_style])


def _roll_count(writer: Writer, rest: str) -> Value:
    low, high, *unit = rest.split()
    number = writer.dice.between(int(low), int(high))
    if number == 1:
        unit[-1] = unit[-1].removesuffix("s")
    spelled = number < len(_NUMBERS) and unit[-1] not in _MEASURES and writer.dice.chance(0.4)
    return Value(text=" ".join([_NUMBERS[number] if spelled else str(number), *unit]))


_KINDS: dict[str, Callable[[Writer, str], Value]] = {
    "one": _roll_one,
    "person": _roll_person,
    "agent": _roll_agent,
    "product": _roll_product,
    "device": _roll_device,
    "plan": _roll_plan,
    "city": _roll_city,
    "address": _roll_address,
    "phone": _roll_phone,
    "code": _roll_code,
    "time": _roll_time,
    "day": _roll_day,
    "money": _roll_money,
    "number": _roll_count,
    "span": _roll_count,
}
