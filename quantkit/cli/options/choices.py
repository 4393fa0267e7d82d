"""A choice of words that says "did you mean" when it is given another one."""

from typing import Any

import click


class Choice(click.Choice):  # type: ignore[type-arg]  # generic only in click 8.2
    """As click's, with the nearest word, or all of them, in the message."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the choice.

        Raises:
            BadParameter: it is none.
        """
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            import difflib

            words = [str(choice) for choice in self.choices]
            near = difflib.get_close_matches(str(value), words, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose {', '.join(words)}"
            self.fail(f"{value!r} is no choice; {hint}", param, ctx)
