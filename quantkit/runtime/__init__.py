"""ONNX Runtime sessions, length-aware batches, worker threads, facts about the CPU."""
