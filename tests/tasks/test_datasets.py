"""Where datasets are found, and that their bytes are the pinned ones."""

import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from quantkit.errors import DatasetError, UsageError
from quantkit.files import cache_folder, sha256_bytes, sha256_file
from quantkit.pinned import DATASETS, KnownDataset, KnownFile
from quantkit.tasks import datasets
from quantkit.tasks.datasets import content_digest, find, find_known, load

CONTENT = b"the official bytes"


@pytest.fixture
def server() -> Iterator[str]:
    """Serve `CONTENT` at /file, nothing at all other paths; yield the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/file" else 404)
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's name)
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.fixture
def known(server: str) -> KnownFile:
    """Return a known file that can be downloaded."""
    address = f"{server}/file"
    digest = sha256_bytes(CONTENT)
    return KnownFile(folder="things", file="thing.json", address=address, sha256=digest, size=len(CONTENT))


@pytest.fixture
def unreachable(known: KnownFile) -> KnownFile:
    """Return the known file at an address that has nothing."""
    return replace(known, address=known.address.replace("/file", "/missing"))


def put(path: Path, content: bytes = CONTENT) -> Path:
    """Write a file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_order_of_places(unreachable: KnownFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--data-dir`, then $QUANTKIT_DATA, then the cache; in each, the name alone before the folder."""
    data, variable = tmp_path / "data", tmp_path / "variable"
    places = [
        put(data / "thing.json"),
        put(data / "things" / "thing.json"),
        put(variable / "thing.json"),
        put(variable / "things" / "thing.json"),
        put(cache_folder() / "data" / "things" / "thing.json"),
    ]
    monkeypatch.setenv("QUANTKIT_DATA", str(variable))
    for place in places:
        assert place == find_known(unreachable, data)
        place.unlink()


def test_a_download_lands_in_the_cache(known: KnownFile, unreachable: KnownFile) -> None:
    """What was downloaded once is found in the cache without the network, and nothing else is left there."""
    path = find_known(known)
    assert path.read_bytes() == CONTENT
    assert [path] == list(path.parent.iterdir())
    assert path == find_known(unreachable)


def test_a_file_that_is_nowhere_says_where_to_put_it(unreachable: KnownFile) -> None:
    """The error names the file, its digest, why the download failed, and where to put it."""
    with pytest.raises(DatasetError, match=r"thing.json: is nowhere .* \(HTTP 404\); put") as caught:
        find_known(unreachable)
    for part in (unreachable.sha256, unreachable.address, "folder things/", "--data-dir", "$QUANTKIT_DATA"):
        assert part in str(caught.value)
    assert not (cache_folder() / "data").exists()


def test_no_network_is_one_line(known: KnownFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that nobody answers at is the same one line."""
    monkeypatch.setattr(datasets, "_RETRIES", 0)
    gone = replace(known, address="http://127.0.0.1:9/file")
    with pytest.raises(DatasetError, match=r"could not be downloaded from .* \(ConnectionError\); put"):
        find_known(gone)


@pytest.mark.parametrize("content", [b"other", CONTENT + b"!"])
def test_wrong_bytes_are_refused_wherever_they_are(known: KnownFile, tmp_path: Path, content: bytes) -> None:
    """A known file with another digest is an error in a data folder and from the network; none is kept."""
    put(tmp_path / "data" / "thing.json", content)
    with pytest.raises(DatasetError, match=r"is not the official file .*; replace or remove it"):
        find_known(known, tmp_path / "data")
    with pytest.raises(DatasetError, match=r"gave other bytes than the official file .*; put thing.json"):
        find_known(replace(known, sha256="0" * 64, size=len(content)))
    assert not (cache_folder() / "data").exists()


def test_a_data_folder_that_is_not_there_is_an_error(
    known: KnownFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistyped folder is named instead of being passed over."""
    with pytest.raises(DatasetError, match="is not a folder; give one that exists as --data-dir"):
        find_known(known, tmp_path / "nowhere")
    monkeypatch.setenv("QUANTKIT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match=r"is not a folder; give one that exists as \$QUANTKIT_DATA"):
        find_known(known)


def test_a_path_is_its_own_dataset(write_squad: Callable[..., Path]) -> None:
    """A file is named after its stem; a name or path that is neither has a hint."""
    path = write_squad({"Ann wrote.": {"Who?": ["Ann"]}}, "my-calls.json")
    assert path == find(str(path))
    assert load(str(path), "squad").name == "my-calls"
    with pytest.raises(DatasetError, match=r"squda: there is no such dataset; did you mean 'squad'\?"):
        find("squda")
    with pytest.raises(DatasetError, match=r"nowhere.json: there is no such dataset; give the path"):
        find("nowhere.json")


def test_a_dataset_of_another_task_is_an_error() -> None:
    """SQuAD cannot be loaded for text classification, and an unknown task is refused first."""
    with pytest.raises(
        DatasetError, match="squad: is a dataset for squad, not for text-classification; give"
    ):
        load("squad", "text-classification")
    with pytest.raises(UsageError, match="is not a task"):
        load("squad", "question-answering")


def test_a_known_dataset_has_its_number_of_questions(
    write_squad: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: KnownFile
) -> None:
    """A known dataset that reads as another number of questions is an error, not a smaller evaluation."""
    path = write_squad({"Ann wrote.": {"Who?": ["Ann"]}}, "thing.json")
    source = replace(known, sha256=sha256_bytes(path.read_bytes()))
    monkeypatch.setitem(
        DATASETS, "thing", KnownDataset(task="squad", source=source, sha256=source.sha256, questions=2)
    )
    with pytest.raises(DatasetError, match="has 1 questions, not 2"):
        load("thing", "squad", tmp_path)


def test_the_table_pins_the_official_files() -> None:
    """The pinned digests and sizes are the published ones."""
    pinned = {
        name: (source.file, source.sha256[:12], source.size)
        for name, row in DATASETS.items()
        if isinstance(source := row.source, KnownFile)
    }
    expected = {
        "squad": ("dev-v1.1.json", "95aa6a52d5d6", 4_854_279),
        "squad-train": ("train-v1.1.json", "3527663986b8", 30_288_272),
    }
    assert pinned == expected


def test_a_name_belongs_to_its_bytes(write_squad: Callable[..., Path]) -> None:
    """A file called like a known dataset has its digest in its name; a copy of the shipped one keeps the name."""
    other = write_squad({"Ann wrote.": {"Who?": ["Ann"]}}, "squad.json")
    shipped = DATASETS["callcentre"].source
    assert isinstance(shipped, Path)
    copy = other.with_name("callcentre.json")
    copy.write_bytes(shipped.read_bytes())
    assert load(str(other), "squad").name == f"squad-{sha256_file(other)[:12]}"
    assert load(str(copy), "squad").name == "callcentre"


def test_a_shipped_dataset_of_other_bytes_is_refused(
    write_squad: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shipped file that somebody edited does not go by the name."""
    path = write_squad({"Ann wrote.": {"Who?": ["Ann"]}}, "callcentre.json")
    monkeypatch.setitem(DATASETS, "callcentre", replace(DATASETS["callcentre"], source=path))
    with pytest.raises(DatasetError, match="is not the dataset callcentre"):
        load("callcentre", "squad")


def test_every_pin_is_that_of_its_file() -> None:
    """The shipped file has the pinned digest and number of questions; a public file has one pin."""
    for row in DATASETS.values():
        if isinstance(row.source, Path):
            assert sha256_file(row.source) == row.sha256
        else:
            assert row.source.sha256 == row.sha256
    assert len(load("callcentre", "squad").questions) == DATASETS["callcentre"].questions


@pytest.mark.real
def test_squad_is_found_by_name(shared: Path) -> None:
    """The real development set passes its own check."""
    assert len(load("squad", "squad", shared / "data").questions) == 10_570


def test_content_is_known_by_its_bytes(
    write_squad: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file's digest is of its bytes, whatever it is called; of a public file the pinned one, which nobody reads."""
    path = write_squad({"Ann wrote.": {"Who?": ["Ann"]}})
    copy = tmp_path / "copy.json"
    copy.write_bytes(path.read_bytes())
    assert content_digest(str(path)) == content_digest(str(copy)) == sha256_file(path)
    monkeypatch.setattr(datasets, "find_known", None)
    source = DATASETS["squad"].source
    assert isinstance(source, KnownFile)
    assert content_digest("squad") == source.sha256
    with pytest.raises(DatasetError, match=r"nowhere\.json: there is no such dataset"):
        content_digest("nowhere.json")
