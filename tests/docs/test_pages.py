"""The documentation: links lead somewhere, and a term is explained once."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")])


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and GitLab make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file that is there, and a heading that the file has."""
    broken = []
    for link in re.findall(r"\]\(([^()\s]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_a_term_is_explained_once() -> None:
    """Each row of the glossary's tables begins with a term that no other row explains."""
    rows = re.findall(
        r"^\| \*\*(.+?)\*\* \|", (ROOT / "docs" / "concepts.md").read_text(), flags=re.MULTILINE
    )
    assert set(rows) >= {"artifact", "candidate", "choice", "damage", "evidence", "question", "run", "window"}
    assert sorted(set(rows)) == sorted(rows)


def test_site_builds(tmp_path: Path) -> None:
    """The site is built without a warning, every page of docs/ in its menu."""
    pytest.importorskip("zensical")
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    menu = set(re.findall(r": (\S+\.md)$", config, flags=re.MULTILINE))
    assert menu == {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    (tmp_path / "mkdocs.yml").write_text(config.replace("site_dir: runs/site", "site_dir: site"))
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    said = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "-f", str(tmp_path / "mkdocs.yml")],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert (tmp_path / "site" / "index.html").is_file()
