"""The entry point: which commands there are, and the one place where errors are printed.

Nothing but click is imported until a command runs, so that `quantkit --help` and shell completion answer at
once. Exit codes: 0 done or passed, 2 the user's mistake, 3 the gate failed, 4 it is inconclusive; 1 is left
to crashes, so that a crash never looks like a verdict.
"""

import contextlib
import errno
import importlib
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, NoReturn

import click

import quantkit
from quantkit.errors import CRASHED, INTERRUPTED, MISTAKE, PASSED, QuantkitError
from quantkit.printable import one_line

# command → module below quantkit.cli, what it does. The order is that of the work.
COMMANDS = {
    "run": ("run", "Run a recipe: checkpoint to published INT8 artifact."),
    "data": ("data", "Look at dataset files before they are used."),
    "distill": ("distill", "Let a smaller checkpoint learn to answer as its teacher does."),
    "export": ("export", "Export a checkpoint to a fused FP32 ONNX artifact."),
    "import": ("import_", "Make an artifact of a model that another tool made."),
    "fuse": ("fuse", "Fuse the graph of an exported artifact."),
    "quantize": ("quantize", "Quantize a fused artifact to INT8."),
    "sensitivity": ("sensitivity", "Measure how much each group of layers suffers from INT8."),
    "search": ("search", "Search smaller architectures of a checkpoint."),
    "evaluate": ("evaluate", "Measure F1 and exact match of an artifact."),
    "inspect": ("inspect", "Show sizes, fusions, executed kernels and INT8 coverage."),
    "bench": ("bench", "Measure throughput of artifacts side by side."),
    "tune": ("tune", "Find the fastest way to run an artifact on this machine."),
    "mlperf": ("mlperf", "Run MLPerf's LoadGen and write a submission."),
    "gate": ("gate", "Judge a candidate against its FP32 baseline."),
    "report": ("report", "Show artifacts side by side: tables and a page."),
    "convert": ("convert", "Write an artifact as a folder that sentence-transformers loads."),
    "publish": ("publish", "Publish an artifact that passed its gate."),
    "policy": ("policy", "Print the floors that a registry holds artifacts to."),
    "verify": ("verify", "Hash a published artifact again and read its evidence."),
    "pull": ("pull", "Copy a published artifact out of a registry."),
    "list": ("listing", "List names, versions and channels of a registry."),
    "promote": ("promote", "Let a channel point to a newer version."),
    "rollback": ("rollback", "Let a channel point to the version before again."),
    "gc": ("gc", "List, or delete, versions that no channel refers to."),
    "doctor": ("doctor", "Show versions, processor, and where data is found."),
    "schema": ("schema", "Print the JSON schema of recipes."),
    "completion": ("completion", "Print shell completion for bash, zsh or fish."),
}
DEBUG = "QUANTKIT_DEBUG"
PIPE_CLOSED = 128 + 13  # as a shell shows a program that SIGPIPE ended


class _Interrupted(Exception):
    """Ctrl-C or SIGTERM arrived."""


class _PipeClosed(Exception):
    """Whoever read stdout went away."""


class _Commands(click.Group):
    """The group of commands; a command's module is imported when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module; each defines `command`."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"quantkit.cli.{COMMANDS[cmd_name][0]}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which was probably meant."""
        name = args[0]
        if not name.startswith("-") and name not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f"did you mean {near[0]}?" if near else "see `quantkit --help`"
            ctx.fail(f"no such command: {name}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, importing none."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, what) for name, (_, what) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete command names from the table, importing none."""
        from click.shell_completion import CompletionItem

        names = [name for name in COMMANDS if name.startswith(incomplete)]
        items = [CompletionItem(name, help=COMMANDS[name][1]) for name in names]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what click would swallow or dress up is passed on plainly."""
        from quantkit.progress import speak

        try:
            with _warnings_on_stderr():
                speak()
                return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _Interrupted from error
        except BrokenPipeError as error:
            raise _PipeClosed from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run the command line and exit; every error is printed here and nowhere else."""
        del standalone_mode
        _encode_anything()
        with _sigterm_as_interrupt():
            try:
                code = super().main(
                    args=args,
                    prog_name=prog_name or "quantkit",
                    complete_var=complete_var,
                    standalone_mode=False,
                    windows_expand_args=windows_expand_args,
                    **extra,
                )
                sys.stdout.flush()
            except Exception as error:  # noqa: BLE001 - the one place: what is no mistake of the user's is a crash
                code = _report(error)
        sys.exit(code if isinstance(code, int) else PASSED)


def _report(error: Exception) -> int:
    """Print one line about what went wrong and return the exit code; a crash prints its traceback."""
    if isinstance(error, BrokenPipeError | _PipeClosed):
        # Nobody reads any more; what is still buffered goes nowhere instead of raising at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    line, code = _explain(error)
    if line is None or os.environ.get(DEBUG):
        traceback.print_exception(error, file=sys.stderr)
    if line is not None:
        print(line, file=sys.stderr)
    return code


def _explain(error: Exception) -> tuple[str | None, int]:  # noqa: PLR0911 - one return per kind of error
    """Return the line to print, None for a crash, and the exit code."""
    if isinstance(error, QuantkitError):
        return f"error: {one_line(str(error))}", error.exit_code
    if isinstance(error, _Interrupted | click.Abort):
        return INTERRUPTED, MISTAKE
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "quantkit"
        return f"error: {one_line(error.format_message())} (see `{command} --help`)", MISTAKE
    if isinstance(error, click.ClickException):
        return f"error: {one_line(error.format_message())}", MISTAKE
    if isinstance(error, MemoryError):
        return "error: out of memory; use a smaller model or batch, or a machine with more memory", MISTAKE
    if isinstance(error, OSError) and error.errno in _SYSTEM:
        where = f"{one_line(str(error.filename))}: " if error.filename else ""
        return f"error: {where}{_SYSTEM[error.errno]}", MISTAKE
    return None, CRASHED


_SYSTEM = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EACCES: "no permission; choose another place, or change its permissions",
    errno.EPERM: "not permitted; choose another place, or change its permissions",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.ENAMETOOLONG: "the name is too long; give a shorter one",
    errno.ELOOP: "the link leads nowhere but to itself; give another path",
    errno.ENOMEM: "out of memory; use a smaller model or batch, or a machine with more memory",
}


def _encode_anything() -> None:
    """Let stdout spell out letters that its encoding does not have, as stderr does; names of files have any."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does: temporary folders are removed on the way out."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    """Print what quantkit's modules warn of, one line each."""
    import logging

    class Printer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            click.echo(f"{record.levelname.lower()}: {one_line(record.getMessage())}", err=True)

    logger, printer = logging.getLogger("quantkit"), Printer(logging.WARNING)
    logger.addHandler(printer)
    try:
        yield
    finally:
        logger.removeHandler(printer)


def _show_traceback(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    del ctx, parameter
    if value:
        os.environ[DEBUG] = "1"


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="INT8 BERT releases you can prove: export, fuse, quantize, evaluate, gate, publish.",
)
@click.version_option(quantkit.__version__, prog_name="quantkit")
@click.option(
    "--traceback",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_traceback,
    help=f"Show where an error comes from (also ${DEBUG}=1).",
)
def main() -> None:
    """Run the command line; see the group's help."""
