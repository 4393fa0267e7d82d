"""A reference server: a published artifact of any task behind HTTP, batched as its runtime profile says.

    python examples/server/server.py name:1.0.0 --registry registry
    python examples/server/server.py path/to/artifact --port 8000

    POST /answer, /classify, /score, /rerank, /tag or /embed, by the artifact's task: {"rows": [{…}, …]}
    GET  /healthz, /readyz, /metrics (Prometheus), /docs

It is an example: one model, one process, no authentication. Needs pip install "quantkit[server]".
"""

import argparse
import logging
import signal
import sys
import tempfile
from pathlib import Path

import uvicorn
from serving.app import create_app
from serving.limits import Limits

from quantkit.artifact import Artifact
from quantkit.errors import QuantkitError
from quantkit.registry import DirectoryRegistry, verify_artifact
from quantkit.runtime.profile import RuntimeProfile, profile_of

LOG = logging.getLogger("quantkit.server")


def open_artifact(source: str, registry: Path, folder: Path) -> Artifact:
    """Return a verified artifact: a folder as it is, or name:version pulled into `folder`."""
    path = Path(source)
    if not path.is_dir():
        return DirectoryRegistry(registry).pull(source, folder / "artifact")
    artifact = Artifact.open(path)
    if not verify_artifact(path).verified:
        LOG.warning("%s: is not published; its bytes are checked, but no gate vouches for them", path)
    return artifact


def options() -> argparse.ArgumentParser:
    """Return the options of the command."""
    usual = Limits()
    parser = argparse.ArgumentParser(description="Serve an artifact over HTTP.")
    parser.add_argument("artifact", help="folder, or name:version in the registry")
    parser.add_argument("--registry", type=Path, default=Path("registry"))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--wait-ms", type=float, default=3.0, help="longest wait for others to share a batch")
    parser.add_argument(
        "--queue", type=int, default=256, help="most windows inside; more are refused with 503"
    )
    parser.add_argument("--max-rows", type=int, default=usual.rows, help="most rows of a request")
    parser.add_argument(
        "--max-characters", type=int, default=usual.characters, help="most characters of a text"
    )
    parser.add_argument("--max-body", type=int, default=usual.body_bytes, help="most bytes of a request")
    parser.add_argument(
        "--grace-seconds", type=int, default=30, help="longest time to answer what was asked before SIGTERM"
    )
    parser.add_argument(
        "--default-profile", action="store_true", help="ignore the artifact's runtime profile"
    )
    return parser


def main() -> None:
    """Serve until SIGTERM or Ctrl-C; what was asked before is answered."""
    parser = options()
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    # uvicorn raises the signal again once all is answered; this way what was pulled is removed, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with tempfile.TemporaryDirectory() as folder:
            artifact = open_artifact(given.artifact, given.registry, Path(folder))
            profile = RuntimeProfile.here() if given.default_profile else profile_of(artifact)
            limits = Limits(rows=given.max_rows, characters=given.max_characters, body_bytes=given.max_body)
            app = create_app(artifact, profile, wait_ms=given.wait_ms, queue=given.queue, limits=limits)
            uvicorn.run(
                app,
                host=given.host,
                port=given.port,
                log_level="warning",
                timeout_graceful_shutdown=given.grace_seconds,
            )
    except QuantkitError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
