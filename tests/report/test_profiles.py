"""What tune tried, as a map; a profile in words."""

from report_records import TRIALS, profile, trial, tune_report

from quantkit.report.profiles import profile_text, tuned_map, tuned_runtimes


def test_map() -> None:
    """Cells are those of the map, per runtime; one that was measured again has the later number."""
    made = tune_report(
        *TRIALS, trial("map again", 1.5, token_budget=512), trial("options", 9.0, token_budget=512)
    )
    assert tuned_runtimes(made) == ["onnxruntime", "openvino"]
    cells = tuned_map(made, "onnxruntime")
    assert len(cells) == 7
    assert cells["2 x 1", 512] == 1.5
    assert ("2 x 1", 2048) not in cells


def test_profile_text() -> None:
    """A profile in words names what is not the default."""
    assert profile_text(profile()) == "onnxruntime, 2 x 1 threads, 1,024 tokens"
    changed = profile(engine="processes", equal_lengths=True, arena=False, runtime="openvino")
    assert (
        profile_text(changed)
        == "openvino, 2 x 1 processes, 1,024 tokens, not pinned, equal lengths, no arena"
    )
