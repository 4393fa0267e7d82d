"""Answers of optimum's model in transformers' pipeline. Runs in optimum's environment, which has no quantkit.

    python answer_optimum.py FOLDER QUESTIONS.json

QUESTIONS.json is a list of {question, context}; printed is the JSON list of the answers.
"""

import json
import sys
from pathlib import Path

from optimum.onnxruntime import ORTModelForQuestionAnswering
from transformers import AutoTokenizer, pipeline


def main() -> None:
    """Load, answer, print."""
    folder, questions = sys.argv[1:]
    asked = json.loads(Path(questions).read_text(encoding="utf-8"))
    model = ORTModelForQuestionAnswering.from_pretrained(folder, file_name="model.onnx")
    answering = pipeline("question-answering", model=model, tokenizer=AutoTokenizer.from_pretrained(folder))
    answers = []
    for entry in asked:
        # Spans as quantkit cuts them: of the tokens, and not widened to whole words.
        found = answering(**entry, max_answer_len=30, max_seq_len=384, doc_stride=128, align_to_words=False)
        answers.append(found["answer"])
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
