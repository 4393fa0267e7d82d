"""quantkit: INT8 BERT releases you can prove."""

from quantkit.auto_classes import register
from quantkit.telemetry import turn_off

__version__ = "0.1.0"

# Here, because every way to onnxruntime leads past here first: commands, libraries, child processes, Ray's workers.
turn_off()
register()
