"""What a page of docs/ says to type, in order, so that it can be run: files to write, commands, and what they print.

| in the page | is |
|---|---|
| a fence with a title, `python title="ask.py"` | a file of that name, written before anything runs |
| a fence `console title="optimum"` | commands (`$ …`) in that environment, and what they print; `…` is what differs |
| a fence `console` without a title | the same, in quantkit's environment |
| a table whose header begins with `to` | cells in columns of environments that begin with a command |
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

OWN = "quantkit"
"""The environment that quantkit is installed in."""

_FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\|(.+)\|$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One line to type.

    Attributes:
        environment: where it is typed.
        line: what is typed, for a shell.
        prints: lines that stand below it, `…` for what differs.
    """

    environment: str
    line: str
    prints: tuple[str, ...] = ()

    @property
    def code(self) -> int:
        """Return the exit code that the lines below it mean."""
        codes = {"error:": 2, "FAIL": 3, "INCONCLUSIVE": 4}
        return next((codes[word] for line in self.prints for word in codes if line.startswith(word)), 0)

    def not_printed(self, output: str) -> list[str]:
        """Return the lines of the page that the command did not print."""
        return [line for line in self.prints if not re.search(_pattern(line), output, re.MULTILINE)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What a page says to type.

    Attributes:
        files: name → content.
        commands: in the order of the page.
    """

    files: dict[str, str]
    commands: tuple[Command, ...] = field(default=())


def read_page(path: Path, environments: Collection[str] = (OWN,)) -> Page:
    """Return what a page says to type; of tables the columns of `environments`."""
    text = path.read_text(encoding="utf-8")
    files: dict[str, str] = {}
    found: list[tuple[int, Command]] = []
    for fence in _FENCE.finditer(text):
        language, title, body = fence.groups()
        if language == "console":
            commands = _console(body, title or OWN)
            found += [(fence.start(), command) for command in commands]
        elif title is not None:
            files[title] = body
    plain = _FENCE.sub(lambda fence: re.sub(r"\S", " ", fence[0]), text)
    found += _tables(plain, environments)
    return Page(files=files, commands=tuple(command for _, command in sorted(found, key=lambda one: one[0])))


def _console(body: str, environment: str) -> list[Command]:
    commands: list[Command] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            commands.append(Command(environment=environment, line=line[2:]))
        elif line.strip():
            last = commands.pop()
            prints = (*last.prints, line.strip())
            commands.append(Command(environment=environment, line=last.line, prints=prints))
    return commands


def _tables(text: str, environments: Collection[str]) -> Iterator[tuple[int, Command]]:
    header: list[str] = []
    end = -2
    for row in _ROW.finditer(text):
        cells = [cell.strip() for cell in row[1].split("|")]
        if row.start() != end + 1:
            header = cells
        end = row.end()
        if header is cells:
            continue
        for name, cell in zip(header, cells, strict=False):
            if header[0] == "to" and name in environments and cell.startswith("`"):
                yield from (
                    (row.start(), Command(environment=name, line=code)) for code in _CODE.findall(cell)
                )


def _pattern(line: str) -> str:
    parts = r"\s*.*".join(re.escape(part.strip()) for part in line.split("…"))
    return rf"^\s*{parts}\s*$"
