"""The process behind one instance of the engine: opens a model, then answers batch after batch.

It is started with a specification on its command line and one end of a socket. Batches lie in shared memory; over the
socket go only descriptions of a few hundred bytes, as JSON. It ends when it is told to, and when its parent is gone.

Nothing is imported here but numpy and the runtime: a process should start in a fraction of a second.
"""

import json
import os
import select
import shutil
import signal
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from quantkit.errors import QuantkitError
from quantkit.runtime.session import SessionOptions
from quantkit.runtime.sessions import Running, open_session, told
from quantkit.runtime.shared_block import Place, SharedBlock

END: dict[str, Any] = {"end": True}
FLAG: Place = ("|u1", [1], 0)
"""Where an instance notes that it is running a batch; it can be read when the instance is gone."""
_PARENT_CHECK_MS = 1000


def serve(specification: dict[str, Any]) -> None:
    """Open the model of a specification (see `quantkit.runtime.engine.child.Child`) and answer until told to end."""
    # Ctrl-C is for the parent, which then ends its instances.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(specification["socket"])
    threading.Thread(target=_watch_parent, args=(connection, specification), daemon=True).start()
    try:
        session = open_session(
            specification["runtime"],
            Path(specification["path"]),
            outputs=tuple(specification["outputs"]),
            threads=specification["threads"],
            options=SessionOptions(**specification["options"]),
            name=specification["name"],
        )
    except QuantkitError as error:
        _send(connection, {"mistake": [type(error).__name__, str(error)]})
        return
    _send(connection, {"outputs": session.outputs, "by_position": session.by_position})
    (running,) = SharedBlock(specification["state"]).views([FLAG])
    blocks = [SharedBlock(descriptor) for descriptor in specification["blocks"]]
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            _leave(specification)
        if request == END:
            return
        running[0] = 1
        answer = _answer(session, blocks[request["block"]], request)
        running[0] = 0
        _send(connection, answer)


def _answer(session: Running, block: SharedBlock, request: dict[str, Any]) -> dict[str, Any]:
    """Run one batch where it lies, and put its outputs in its place."""

    def run() -> dict[str, Any]:
        feeds = dict(zip(request["names"], block.views(request["places"]), strict=True))
        before = time.perf_counter()
        outputs = session.run(feeds)
        ran = time.perf_counter() - before
        return {"places": block.write(outputs), "ran": ran}

    return told(run)


def _send(connection: Connection, content: dict[str, Any]) -> None:
    try:
        connection.send_bytes(json.dumps(content).encode())
    except OSError:
        os._exit(1)


def _watch_parent(connection: Connection, specification: dict[str, Any]) -> None:
    """End this process when the parent is gone: killed, it told nobody, and a run may still take long."""
    poll = select.poll()
    # Nothing but errors and the end of the other side.
    poll.register(connection.fileno(), 0)
    while not poll.poll(_PARENT_CHECK_MS) and os.getppid() == specification["parent"]:
        pass
    _leave(specification)


def _leave(specification: dict[str, Any]) -> NoReturn:
    """End at once, and take away what the parent cannot take away any more."""
    shutil.rmtree(specification["folder"], ignore_errors=True)
    os._exit(1)
