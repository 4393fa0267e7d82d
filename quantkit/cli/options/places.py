"""What the value of an option or argument is, with what a shell offers for it: known names, files, folders."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import click
from click.shell_completion import CompletionItem

Kind = Literal["file", "dir"]


class Named(click.ParamType):  # type: ignore[type-arg]
    """Text that is a known name, or leads to a file or folder; whether it does, the command finds out.

    Args:
        name: what help calls it, in small letters.
        kind: what it may lead to; None when it is a name and nothing else.
        known: the names, or what lists them.
    """

    def __init__(
        self, name: str, kind: Kind | None, known: Sequence[str] | Callable[[], Sequence[str]] = ()
    ) -> None:
        self.name = name
        self.kind = kind
        self.known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text as it is."""
        del param, ctx
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the names that fit, then files or folders."""
        del ctx, param
        known = self.known() if callable(self.known) else self.known
        items = [CompletionItem(name) for name in known if name.startswith(incomplete)]
        if self.kind is not None:
            items.append(CompletionItem(incomplete, type=self.kind))
        return items


class _Folder(click.Path):
    """A path of a folder, there or to be made."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer folders."""
        del ctx, param
        return [CompletionItem(incomplete, type="dir")]


class WordOrNumber(click.ParamType):  # type: ignore[type-arg]
    """One of a few words, or a number."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self.name = "|".join((*words, "number"))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | float:
        """Return the word, or the number."""
        if value in self.words or isinstance(value, float):
            return value  # type: ignore[no-any-return]
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither {', '.join(self.words)} nor a number.", param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the words."""
        del ctx, param
        return [CompletionItem(word) for word in self.words if word.startswith(incomplete)]


def _shipped_recipes() -> list[str]:
    from quantkit.shipped import recipes_folder

    return sorted(path.stem for path in recipes_folder().glob("*.yaml"))


FOLDER = _Folder(path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
ARTIFACT = Named("artifact", "dir")
CHECKPOINT = Named("checkpoint", "dir", ("quickstart",))
RECIPE = Named("recipe", "file", _shipped_recipes)
