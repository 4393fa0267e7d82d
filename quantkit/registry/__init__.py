"""Where published artifacts live."""
