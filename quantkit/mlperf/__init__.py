"""mlperf: LoadGen runs of an artifact, and the submission package made from them."""
