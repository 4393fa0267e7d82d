"""The exam: questions, and how far the answers of another model have moved from FP32's."""
