"""One setting as an option of click, from plain words: nothing of a recipe is imported."""

from dataclasses import dataclass
from typing import Any, Literal

import click

from quantkit.cli.options.choices import Choice
from quantkit.cli.options.places import Kind as PlaceKind
from quantkit.cli.options.places import Named, WordOrNumber
from quantkit.errors import UsageError

Kind = Literal["text", "integer", "number", "choice", "word or number", "switch", "flag"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """What click must know of a setting. Made from the settings' models by `quantkit.cli.options.generate`.

    Attributes:
        path: the field in its section, or in a section inside it.
        names: its spellings on the command line.
        was: spellings that it had; they are understood for one release, and a warning says what it is called now.
        help: what it means.
        kind: what its value is. A switch has two spellings, a flag has one and means `gives`.
        choices: the words it may be.
        default: what happens without it, in words; empty when `help` says it or nothing does.
        metavar: what help calls the value.
        many: it can be repeated.
        required: it must be given.
        gives: what a flag means.
        item: its text is this key of an entry of a list.
        beside: the other keys of such an entry.
        either: the word for all of `choices`; another is a list of one.
        words: words that mean one of `choices`.
        place: what its text may lead to, for a shell.
        known: names that a shell offers.
    """

    path: tuple[str, ...]
    names: tuple[str, ...]
    help: str
    was: tuple[str, ...] = ()
    kind: Kind = "text"
    choices: tuple[str, ...] = ()
    default: str = ""
    metavar: str = ""
    many: bool = False
    required: bool = False
    gives: bool | None = None
    item: str = ""
    beside: tuple[tuple[str, str], ...] = ()
    either: str = ""
    words: tuple[tuple[str, str], ...] = ()
    place: PlaceKind | None = None
    known: tuple[str, ...] = ()

    @property
    def parameter(self) -> str:
        """Its name among the values that click collects."""
        return self.path[-1]

    def take(self, values: dict[str, Any]) -> Any:
        """Remove what click collected for the option, under any of its spellings, and return it.

        Raises:
            UsageError: it was given under a spelling of today and an old one.
        """
        import logging

        collected = values.pop(self.parameter)
        for spelling in self.was:
            said = values.pop(_old(spelling))
            if not _given(said):
                continue
            if _given(collected):
                raise UsageError(f"{spelling}: is the old name of {self.names[0]}, given too; keep one")
            logging.getLogger(__name__).warning("%s: is called %s now; write that", spelling, self.names[0])
            collected = said
        return collected

    def value(self, collected: Any) -> Any:
        """Return the setting's value for what click collected; None when the option was not given."""
        if collected is None or collected == () or (self.kind == "flag" and not collected):
            return None
        if self.kind == "flag":
            return self.gives
        if self.item:
            return [{self.item: text, **dict(self.beside)} for text in collected]
        if self.either:
            return None if collected == self.either else (collected,)
        return dict(self.words).get(collected, collected) if self.words else collected

    def decorate(self, command: Any) -> Any:
        """Add the option to a command function, its old spellings hidden."""
        for spelling in self.was:
            command = self._decorate(command, (spelling,), _old(spelling), hidden=True)
        return self._decorate(command, self.names, self.parameter, hidden=False)

    def _decorate(self, command: Any, names: tuple[str, ...], parameter: str, *, hidden: bool) -> Any:
        shown = f"  [default: {self.default}]" if self.default else ""
        about: dict[str, Any] = {
            "help": self.help + shown,
            "required": self.required and not self.was,
            "hidden": hidden,
        }
        if self.kind == "switch":
            return click.option("/".join(names), parameter, default=None, **about)(command)
        if self.kind == "flag":
            return click.option(*names, parameter, is_flag=True, **about)(command)
        about |= {"type": self._type(), "multiple": self.many, "metavar": self.metavar or None}
        return click.option(*names, parameter, **about)(command)

    def _type(self) -> Any:
        if self.kind == "choice":
            return Choice([*self.choices, *dict(self.words), *([self.either] if self.either else ())])
        if self.kind == "word or number":
            return WordOrNumber(self.choices)
        if self.kind == "text":
            return Named("text", self.place, self.known)
        return {"integer": int, "number": float}[self.kind]


def _given(collected: Any) -> bool:
    return collected is not None and collected is not False and collected != ()


def _old(spelling: str) -> str:
    """Return the name of an old spelling among the values that click collects."""
    return f"was_{spelling.removeprefix('--').replace('-', '_')}"
