"""From a PyTorch model to an ONNX graph with stable names, and the proof that both compute the same.

`trace` and `parity` need torch.
"""
