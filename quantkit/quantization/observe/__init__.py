"""What calibration saw: statistics, histograms, ranges."""
