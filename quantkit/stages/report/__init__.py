"""report: what artifacts carry of themselves, side by side. Nothing is run.

Every number is read from a report in the artifact, and every report names the digest it is about: one of another
digest is refused. Scores come from one dataset with one set of settings, throughputs from one interleaved measurement;
an artifact that has none there has a gap, and the command that fills it is named.

An INT8 artifact is paired with the FP32 artifact among those given that is its parent; else with the baseline of
its gate; else with the only one of the same checkpoint; else, when neither says what its checkpoint was, with the
last FP32 artifact before it.
"""

from quantkit.stages.report.compare import report

__all__ = ["report"]
