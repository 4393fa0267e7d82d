"""However the parent ends, its instances end too, and neither memory nor files are left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SaveEncoder = Callable[..., Path]

_SCRIPT = """
import json, sys, numpy as np
from pathlib import Path
from quantkit.engines import open_engine
from quantkit.runtime.profile import RuntimeProfile
profile = RuntimeProfile(instances=2, engine="processes")
with open_engine(Path(sys.argv[1]), outputs=("start_logits", "end_logits"), profile=profile) as engine:
    print(json.dumps(engine.pids), flush=True)
    ids = np.ones((200, 500), np.int64)
    while True:
        engine.submit({"input_ids": ids, "attention_mask": ids, "token_type_ids": ids})
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left(save_encoder: SaveEncoder, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, kill -9 and SIGTERM of the parent in the middle of a run leave no process, no memory and no file."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, str(save_encoder())],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    ) as parent:
        assert parent.stdout is not None
        pids = json.loads(parent.stdout.readline())
        time.sleep(0.2)
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
        parent.send_signal(number)
        _, said = parent.communicate(timeout=600)
    assert parent.returncode == -number or number == signal.SIGINT
    end = time.monotonic() + 600
    while any(Path(f"/proc/{pid}").exists() for pid in pids) or list(folder.glob("quantkit*")):
        assert time.monotonic() < end, (pids, list(folder.glob("quantkit*")))
        time.sleep(0.02)
    if number == signal.SIGINT:
        assert said.rstrip().endswith("KeyboardInterrupt")
