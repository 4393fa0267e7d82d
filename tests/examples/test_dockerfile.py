"""The server's Dockerfile, read and not built: pinned, light, not root, and it copies what is there."""

import re
import shlex
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "examples" / "server" / "Dockerfile"


def _instructions() -> list[tuple[str, str]]:
    """Return (instruction, arguments), continued lines joined, comments left out."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line]


def _of(name: str) -> list[str]:
    return [rest for instruction, rest in _instructions() if instruction == name]


def test_base_images_are_pinned_and_slim() -> None:
    """Every stage begins with one slim Python of an exact version."""
    bases = [rest.split()[0] for rest in _of("FROM")]
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", bases[0])


def test_install_is_light_and_pinned() -> None:
    """Pip installs the extra `server` alone, under the constraints; that extra brings no torch."""
    (install,) = (rest for rest in _of("RUN") if "pip install" in rest)
    words = shlex.split(install.partition("pip install")[2].partition("&&")[0])
    assert [word for word in words if not word.startswith("-")] == ["constraints.txt", ".[server]"]
    assert words[words.index("-c") + 1] == "constraints.txt"
    extras = (ROOT / "setup.cfg").read_text().partition("[options.extras_require]")[2]
    (needs,) = re.findall(r"^server =\n((?:    .+\n)+)", extras, re.MULTILINE)
    assert re.findall(r"^    (\w+)", needs, re.MULTILINE) == ["fastapi", "uvicorn", "prometheus_client"]


def test_runs_as_nobody_in_particular() -> None:
    """The last USER is a number that is not root's, set after everything that needs root; the container is watched."""
    names = [instruction for instruction, _ in _instructions()]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", _of("USER")[-1])
    assert not {"RUN", "COPY"}.intersection(names[names.index("USER") :])
    assert "/readyz" in _of("HEALTHCHECK")[0]
    assert _of("ENTRYPOINT")[0].startswith("[")


def test_copies_what_is_there_and_not_ignored() -> None:
    """Every path that is copied from the context exists, and .dockerignore lets it in."""
    let_in = [
        line[1:]
        for line in Path(f"{DOCKERFILE}.dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    copied = [path for rest in _of("COPY") if not rest.startswith("--from") for path in rest.split()[:-1]]
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert [path for path in copied if not any(fnmatch(path, each) for each in let_in)] == []
