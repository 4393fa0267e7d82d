"""Quantization: from a float model and a calibration set to INT8.

Rooms, each using those before it: `grids` and `affine` (the integers), `rounding` (weights to integers) and `observe`
(what calibration saw), `choice` (how a layer is computed, as a value), `treatments` (what is done to channels),
`assignment` (settings → a choice for every layer) and `write` (choices → operators).
"""
