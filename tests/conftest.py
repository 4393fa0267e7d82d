"""Fixtures for everybody: where the real data is, and an environment that never leaves the test folder."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test's cache in its own folder, and the user's data folder out of it."""
    monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("QUANTKIT_DATA", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with the real checkpoint and the real datasets, or skip."""
    if not (SHARED / "data" / "squad" / "dev-v1.1.json").is_file():
        pytest.skip("../shared with SQuAD dev and the trained checkpoint is not here")
    return SHARED
