"""Measuring how fast a model runs: interleaved rounds, their spread, offline passes, a load of queries."""
