"""ONNX graphs: reading and writing, linear layers, fusion passes and their contract, executed kernels."""
