"""quantkit: INT8 BERT releases you can prove."""

__version__ = "0.1.0"
