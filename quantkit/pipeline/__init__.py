"""Runs a whole recipe, resuming where it stopped; and the commands that are made of several stages."""
