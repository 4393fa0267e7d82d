"""INT8: calibration, ranges, and the static, dynamic and embedding-table rewrites."""
