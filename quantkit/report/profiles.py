"""Runtime profiles for people: one in words, and those that `tune` tried as a map."""

from typing import Any

from quantkit.records.tune import TuneReport


def tuned_runtimes(report: TuneReport) -> list[str]:
    """Return the runtimes that were tried, in the order they were tried."""
    return list(dict.fromkeys(trial.profile["runtime"] for trial in report.trials))


def tuned_map(report: TuneReport, runtime: str) -> dict[tuple[str, int], float]:
    """Return of a runtime (instances x threads, token budget) → ratio, as measured longest."""
    cells: dict[tuple[str, int], float] = {}
    for trial in report.trials:
        if trial.step.startswith(("map", "grid")) and trial.profile["runtime"] == runtime:
            cells[shape_text(trial.profile), trial.profile["token_budget"]] = trial.ratio
    return cells


def shape_text(profile: dict[str, Any]) -> str:
    """Return instances and threads in each, such as `2 x 1`."""
    return f"{profile['instances']} x {profile['threads']}"


def profile_text(profile: dict[str, Any]) -> str:
    """Return a profile in words: `onnxruntime, 2 x 1 threads, 1,024 tokens, equal lengths`."""
    words = [
        str(profile["runtime"]),
        f"{shape_text(profile)} {profile['engine']}",
        f"{profile['token_budget']:,} tokens",
    ]
    # Processes are pinned by default, threads are not.
    if profile["pinned"] != (profile["engine"] == "processes"):
        words.append("pinned" if profile["pinned"] else "not pinned")
    words += [
        said for name, said in (("equal_lengths", "equal lengths"), ("spinning", "spinning")) if profile[name]
    ]
    return ", ".join(words if profile["arena"] else [*words, "no arena"])
