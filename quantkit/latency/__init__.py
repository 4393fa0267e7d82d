"""Latency: what a piece of a graph costs on this machine."""
