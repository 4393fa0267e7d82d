"""Allocation: slots with options, each with its damage and its cost; the cheapest choice within limits."""
