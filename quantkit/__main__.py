"""`quantkit` and `python -m quantkit`: Ctrl-C is one line from the first moment to the last.

Nothing but names is imported before it is caught: the command line itself takes tenths of a second to import.
"""

import sys

from quantkit.errors import INTERRUPTED, MISTAKE


def main() -> None:
    """Run the command line and exit."""
    try:
        from quantkit.cli.main import main as run

        run(prog_name="quantkit")
    except KeyboardInterrupt:
        sys.stderr.write(f"{INTERRUPTED}\n")
        sys.exit(MISTAKE)
    finally:
        _ignore_interrupts()


def _ignore_interrupts() -> None:
    """The work is done, or given up: from here to the end of the interpreter nothing is left to interrupt."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()
