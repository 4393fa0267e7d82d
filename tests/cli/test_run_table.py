"""What `quantkit run` says at its end."""

from quantkit.cli.run_table import _smaller
from quantkit.pipeline.outcome import RunReport, Smaller


def test_a_students_scores_are_called_by_the_tasks_metric() -> None:
    """Of a classifier they are accuracies, not F1."""
    made = Smaller(teacher="0" * 64, f1=96.5, before_training=71.5, after_training=98.0)
    said = _smaller(RunReport.model_construct(metric="accuracy", smaller=made))
    assert said == [
        ("training", "accuracy 71.50 before, 98.00 after, on the selection"),
        ("accuracy of the student", "FP32 96.500; the FP32 below is the original"),
    ]
