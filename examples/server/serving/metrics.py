"""What Prometheus is told. Every name begins with `quantkit_`; a server has a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one server.

    Attributes:
        content_type: of `text`.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, *, task: str, digest: str) -> None:
        """Make them, all 0.

        Args:
            task: of the artifact.
            digest: of the artifact.
        """
        own = self._registry = CollectorRegistry()
        self.requests = Counter(
            "quantkit_requests", "Requests of the task, by status.", ["status"], registry=own
        )
        self.latency = Histogram(
            "quantkit_request_seconds",
            "From a request's first byte to its reply, of those with status 200.",
            buckets=_SECONDS,
            registry=own,
        )
        self.rows = Counter(
            "quantkit_rows", "Rows that were replied to: questions, texts, passages.", registry=own
        )
        self.truncated = Counter(
            "quantkit_truncated_rows",
            "Rows whose end the model did not read, for they are too long.",
            registry=own,
        )
        self.tokens = Counter(
            "quantkit_tokens", "Tokens of the texts, as the model reads them.", registry=own
        )
        self.padding = Counter("quantkit_padding_tokens", "Tokens that only fill batches up.", registry=own)
        self.batch = Histogram("quantkit_batch_size", "Windows in a batch.", buckets=_BATCH, registry=own)
        self.inside = Gauge("quantkit_windows_inside", "Windows that wait or run now.", registry=own)
        self.ready = Gauge("quantkit_ready", "1 while requests are taken.", registry=own)
        about = Gauge("quantkit_artifact_info", "What is served.", ["task", "digest"], registry=own)
        about.labels(task=task, digest=digest).set(1)

    def count_request(self, status: int, seconds: float) -> None:
        """Count one request of the task that was replied to."""
        self.requests.labels(status=str(status)).inc()
        if status == 200:
            self.latency.observe(seconds)

    def count_rows(self, rows: int, truncated: int) -> None:
        """Count the rows of one request."""
        self.rows.inc(rows)
        self.truncated.inc(truncated)

    def count_batch(self, windows: int, tokens: int, computed: int) -> None:
        """Count one batch; `computed` are its tokens with padding."""
        self.batch.observe(windows)
        self.tokens.inc(tokens)
        self.padding.inc(computed - tokens)

    def text(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self._registry)
