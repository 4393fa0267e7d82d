"""Weights that several processes read from the same memory.

onnxruntime copies the weights of a plain ONNX file, and once more into the layout its kernels read ("packing"). But
what lies in a file beside the graph is mapped, not copied, and `session.save_external_prepacked_constant_initializers`
(onnxruntime 1.21 and later) writes it as the kernels want it. Processes that open such a file share its pages: each has
only its activations for itself. Opening is faster too, as the graph is optimized already.

The file is good for this CPU and this onnxruntime only, so it lives in a temporary folder, as long as the engine.
"""

from pathlib import Path

from quantkit.runtime.session import SessionOptions, Written, open_model

_FILE = "model.onnx"


def write_shared(path: Path, folder: Path, *, name: str, threads: int, exact_int8: bool = False) -> Path:
    """Write a model so that processes share its weights, and return the file.

    Args:
        path: the ONNX file.
        folder: an empty folder.
        name: what messages call the model.
        threads: those of the sessions that will open it.
        exact_int8: see `SessionOptions`.

    Raises:
        ArtifactError: the model cannot be opened.
        OutputError: the folder cannot be written.
    """
    written = folder / _FILE
    options = SessionOptions(packed=True, exact_int8=exact_int8)
    writes = Written(optimized_model=written)
    open_model(path, name=name, threads=threads, options=options, writes=writes)
    return written
