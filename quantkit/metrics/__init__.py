"""Scores and statistics: EM and F1, the paired bootstrap of the gate. Plain numpy."""
