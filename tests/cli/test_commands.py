"""The command line as a whole: light, documented, honest about errors."""

import errno
import importlib
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from quantkit.artifact import Artifact
from quantkit.cli.main import COMMANDS, main
from quantkit.errors import FusionError, PublishRefused
from quantkit.pinned import DATASETS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "cli.md").read_text()
HEAVY = (
    "pydantic",
    "numpy",
    "onnx",
    "onnx_ir",
    "onnxruntime",
    "rich",
    "torch",
    "transformers",
    "tokenizers",
    "yaml",
)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def command(name: str) -> click.Command:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    return found


def python(code: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=1200,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], [], ["no-such-command"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """Help and mistakes are answered by click and a table alone."""
    code = f"""
import sys, click
from quantkit.cli.main import main
try:
    main({arguments!r})
except SystemExit:
    pass
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    assert python(code).stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_imports_nothing_heavy(name: str) -> None:
    """The module of a command is light too: completion imports it."""
    code = f"""
import sys
from quantkit.cli.main import main
try:
    main([{name!r}, "--help"])
except SystemExit as ended:
    assert ended.code == 0
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    assert python(code).stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    """docs/cli.md has a section per command with every option; the table of commands says what help says."""
    section = DOCUMENT.split(f"\n## quantkit {name}\n")[1].split("\n## ")[0]
    options = [one for one in command(name).params if isinstance(one, click.Option) and not one.hidden]
    missing = [
        spelling
        for option in options
        for spelling in (*option.opts, *option.secondary_opts)
        if spelling not in section and spelling not in ("-m",)
    ]
    assert missing == []
    assert (command(name).help or "").startswith(COMMANDS[name][1])


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_take_few_values(name: str) -> None:
    """A command function has at most six parameters, whatever the number of its options."""
    function = inspect.unwrap(command(name).callback)
    assert len(inspect.signature(function).parameters) <= 6


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_json(name: str) -> None:
    """--json is everywhere, and every option has a help text."""
    options = [parameter for parameter in command(name).params if isinstance(parameter, click.Option)]
    assert "--json" in {spelling for option in options for spelling in option.opts}
    assert [option.name for option in options if not option.help] == []


def test_every_command_of_the_table_exists() -> None:
    """The table names modules that are there, and no command module is missing from it."""
    modules = {path.stem for path in (ROOT / "quantkit" / "cli").glob("*.py")}
    assert {module for module, _ in COMMANDS.values()} == modules - {
        "__init__",
        "main",
        "show",
        "run_table",
        "registry_options",
    }
    for module, _ in COMMANDS.values():
        assert isinstance(importlib.import_module(f"quantkit.cli.{module}").command, click.Command)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["quantiz"], "error: no such command: quantiz; did you mean quantize?"),
        (["evaluate", "nowhere"], "error: nowhere: no such artifact folder"),
        (["evaluate"], "error: ARTIFACT: is missing; name it, as the argument or with -m"),
        (["evaluate", ""], "error: ARTIFACT: is missing; name it"),
        (["export", "a", "-o", "b", "--atol", "inf"], "error: --atol: should be a finite number"),
        (
            ["gate", "a", "--baseline", "b", "--max-size-mb", "nan"],
            "error: --max-size-mb: should be a finite",
        ),
        (
            ["gate", "a", "--baseline", "b", "--reference-f1", "0.90874"],
            "error: --reference-f1: should be greater than or equal to 1, got 0.90874",
        ),
        (["inspect", "a" * 300], f"error: {'a' * 300}: the name is too long; give a shorter one"),
        (["inspect", "a\x1b[31m\nb\udcff"], "error: a\\x1b[31m b\\udcff: no such artifact folder"),
        (["evaluate", "a", "-m", "b"], "error: --model: ARTIFACT is given twice"),
        (["evaluate", "a", "--limit", "0"], "error: --limit: should be greater than or equal to 1, got 0"),
        (["evaluate", "a", "--limit", "x"], "error: Invalid value for '--limit'"),
        (
            ["quantize", "a", "-o", "b", "--percentile", "20"],
            "error: --percentile: should be greater than 50, got 20",
        ),
        (["quantize", "a"], "error: Missing option '-o' / '--output'"),
        (["quantize", "a", "-o", "b", "--mod", "static"], "error: No such option '--mod'"),
        (
            ["gate", "a", "--baseline", "b", "--min-ratio", "0"],
            "error: --min-ratio: should be greater than 0, got 0",
        ),
        (
            ["export", "a", "-o", "b", "--opset", "9"],
            "error: --opset: should be greater than or equal to 14, got 9",
        ),
        (["bench"], "error: ARTIFACTS: are missing"),
        (["verify", "x"], "error: x: expected name:version"),
        (["verify", "../x:1"], "error: '../x': is no name"),
        (["pull", "x:1", "-o", "out"], "error: registry: has no x:1"),
        (["publish", "a", "--name", "X", "--version", "1"], "error: --name: "),
        (["run", "nothing"], "error: nothing: no such recipe"),
        (["run", "quickstart", "--set", "x"], "error: --set x: expected section.key=value"),
        (
            ["run", "quickstart", "--set", "gate.min_rato=1"],
            "error: --set gate.min_rato: unknown key; did you mean min_ratio?",
        ),
        (["completion", "tcsh"], "error: Invalid value for"),
    ],
)
def test_mistake_is_one_line_and_exit_2(
    arguments: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake is one line on stderr, nothing on stdout, exit code 2."""
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert result.stderr.startswith(line)


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], Result]:
    def run(error: BaseException, *before: str) -> Result:
        def fail(*arguments: object, **options: object) -> None:
            raise error

        monkeypatch.setattr(Artifact, "open", fail)
        return invoke(*before, "evaluate", "x")

    return run


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (FusionError("x: one line"), 2, "error: x: one line"),
        (PublishRefused("x: no report"), 3, "error: x: no report"),
        (FusionError("two\nlines"), 2, "error: two lines"),
        (KeyboardInterrupt(), 2, "interrupted; nothing was left half-written"),
        (OSError(errno.ENOSPC, "x", "/f"), 2, "error: /f: the disk is full; free some space and run again"),
        (PermissionError(errno.EACCES, "x", "/f"), 2, "error: /f: no permission; choose another place"),
        (MemoryError(), 2, "error: out of memory"),
    ],
)
def test_what_the_user_can_mend_is_one_line(raising: Any, error: BaseException, code: int, line: str) -> None:
    """Errors of quantkit, the disk, the memory and Ctrl-C are one line each."""
    result = raising(error)
    assert (code, "") == (result.exit_code, result.stdout)
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(line)


@pytest.mark.parametrize(
    "error", [ValueError("x"), OSError(errno.EIO, "x"), KeyError("x"), RuntimeError("x")]
)
def test_a_crash_is_a_traceback_and_exit_1(raising: Any, error: BaseException) -> None:
    """What is nobody's mistake but ours never looks like a verdict."""
    result = raising(error)
    assert result.exit_code == 1
    assert "Traceback" in result.stderr


def test_traceback_on_request(raising: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """--traceback and QUANTKIT_DEBUG show where an error comes from; the exit code stays."""
    monkeypatch.setenv("QUANTKIT_DEBUG", "")
    result = raising(FusionError("x: one line"), "--traceback")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1] == "error: x: one line"


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_is_one_line_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    """Ctrl-C and SIGTERM in the middle of writing: one line, exit code 2, no remains."""
    code = f"""
import time
from pathlib import Path
from quantkit.artifact import Artifact
from quantkit.cli.main import main
from quantkit.files import new_folder

def slow(path):
    with new_folder(Path({str(tmp_path / "out")!r})) as folder:
        (folder / "half").write_text("x")
        print("ready", flush=True)
        time.sleep(600)

Artifact.open = slow
main(["evaluate", "x"])
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 600
    while not list(tmp_path.glob(".out*/half")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=600)
    said = [line for line in errors.splitlines() if line != "ready"]
    assert (process.returncode, said) == (2, ["interrupted; nothing was left half-written"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_interrupt_while_importing_is_one_line() -> None:
    """Ctrl-C before the command line is there is the same line and exit code as later."""
    code = """
import builtins, os, signal
from quantkit.__main__ import main

original = builtins.__import__

def interrupted(name, *given):
    if name == "click":
        os.kill(os.getpid(), signal.SIGINT)
    return original(name, *given)

builtins.__import__ = interrupted
main()
"""
    answer = python(code)
    assert (answer.returncode, answer.stderr) == (2, "interrupted; nothing was left half-written\n")


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_closed_pipe_is_quiet() -> None:
    """`quantkit schema | head -1` says nothing on stderr, and does not look like success or a verdict."""
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [sys.executable, "-m", "quantkit", "schema"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
        timeout=600,
    )
    os.close(writer)
    assert (process.returncode, process.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("words", "number", "expected"),
    [
        ("quantkit ev", 1, {"evaluate"}),
        ("quantkit ", 1, set(COMMANDS)),
        ("quantkit gate --pol", 2, {"--policy"}),
        ("quantkit gate --policy ", 3, {"mlperf", "statistical"}),
        ("quantkit quantize --calib-method m", 3, {"minmax", "mse"}),
    ],
)
def test_bash_completion(words: str, number: int, expected: set[str]) -> None:
    """The shell asks as click's script does and gets commands, options and choices."""
    environment = {"_QUANTKIT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
    answer = python("from quantkit.cli.main import main; main(prog_name='quantkit')", env=environment)
    values = {line.partition(",")[2] for line in answer.stdout.splitlines()}
    assert (values, answer.stderr) == (expected, "")


@pytest.mark.parametrize(
    ("shell", "mark"), [("bash", "complete -o nosort -F"), ("zsh", "#compdef"), ("fish", "complete ")]
)
def test_completion_script(shell: str, mark: str) -> None:
    """The script of each shell is printed; how to keep it is said on stderr."""
    result = invoke("completion", shell)
    assert result.exit_code == 0
    assert mark in result.stdout
    assert "to keep it" in result.stderr
    assert mark in json.loads(invoke("completion", shell, "--json").stdout)["script"]


@pytest.mark.parametrize("arguments", [["doctor"], ["doctor", "--json"]])
def test_stdout_of_another_encoding(arguments: list[str], tmp_path: Path) -> None:
    """Letters that stdout cannot encode are spelled out; JSON stays JSON."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    environment["QUANTKIT_DATA"] = str(tmp_path)
    environment["QUANTKIT_CACHE"] = str(tmp_path / "Köln")
    answer = subprocess.run(
        [sys.executable, "-m", "quantkit", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=1200,
    )
    assert answer.returncode == 0, answer.stderr
    if "--json" in arguments:
        assert str(tmp_path / "Köln") == json.loads(answer.stdout)["folders"]["cache"]


def test_doctor_downloads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Doctor tells where data is and never fetches it; JSON and table hold the same facts."""

    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("a download")

    monkeypatch.setattr("requests.Session.get", fail)
    facts = json.loads(invoke("doctor", "--json").stdout)
    assert set(facts["data"]) == set(DATASETS)
    assert facts["data"]["squad"] is None
    assert facts["packages"]["onnxruntime"]
    table = invoke("doctor")
    assert table.exit_code == 0
    assert facts["packages"]["onnxruntime"] in table.stdout


def test_doctor_names_exact_grids(exact_grids: frozenset[str]) -> None:
    """It says which weights this CPU's kernels sum exactly, in one line."""
    assert set(json.loads(invoke("doctor", "--json").stdout)["cpu"]["exact"]) == exact_grids
    line = next(line for line in invoke("doctor").stdout.splitlines() if "exact weight types" in line)
    assert all(name in line for name in exact_grids)


def test_schema_is_the_committed_one() -> None:
    """`quantkit schema` prints docs/recipe.schema.json."""
    assert (ROOT / "docs" / "recipe.schema.json").read_text() == invoke("schema").stdout


def test_module_runs_as_a_program() -> None:
    """`python -m quantkit --version` works without being installed."""
    answer = subprocess.run(
        [sys.executable, "-m", "quantkit", "--version"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.startswith("quantkit, version ")
