"""A list of checks that grows while a tree is read."""

from quantkit.records.gate import Check


class Findings:
    """Collects checks; `within` gives the same list with a longer prefix."""

    def __init__(self, prefix: tuple[str, ...] = (), found: list[Check] | None = None) -> None:
        """Begin a list, or go on with one."""
        self._prefix = prefix
        self._found: list[Check] = [] if found is None else found

    @property
    def checks(self) -> tuple[Check, ...]:
        """All checks so far, those of other prefixes too."""
        return tuple(self._found)

    def within(self, name: str) -> "Findings":
        """Return the same list for checks of a part."""
        return Findings((*self._prefix, name), self._found)

    def note(self, name: str, required: str, observed: str, passed: bool, decides: bool = True) -> None:
        """Add one check."""
        self._found.append(
            Check(
                name=": ".join((" ".join(self._prefix), name)) if self._prefix else name,
                required=required,
                observed=observed,
                verdict="pass" if passed else "fail",
                decides=decides,
            )
        )
