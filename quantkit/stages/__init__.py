"""The stages: artifact in, artifact or report out, on disk. No stage imports another."""
