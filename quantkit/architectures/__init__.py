"""The model families: what config.json says of their layers, inputs and expected fusions."""
