"""The exam: questions, FP32's answers to them, and how far the answers of another model have moved.

* `exam`: a model sits the questions and gets marks.
* `marks`: divergence, changed answers, score and expected score, as numbers.
* `kept`: FP32's answers on disk, for exams that are held again.
* `selection`: which questions candidates of a search are judged on.
* `overlap`: which questions are the gate's, and so nobody else's.
"""

from quantkit.exam.exam import Exam
from quantkit.exam.marks import Marks
from quantkit.exam.selection import SelectionRequest, select_questions

__all__ = ["Exam", "Marks", "SelectionRequest", "select_questions"]
