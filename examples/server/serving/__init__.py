"""The parts of the reference server: what is asked and replied, limits, batches, metrics, the application."""
