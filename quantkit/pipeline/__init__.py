"""Runs a whole recipe, resuming where it stopped."""
