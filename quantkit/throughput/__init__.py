"""Measuring how fast a model runs: a workload, interleaved rounds and their spread, the load of a server."""

from quantkit.throughput.rounds import Rounds, measure_rounds
from quantkit.throughput.serving import HighestRate, Trial, highest_rates, lone_latency, serve
from quantkit.throughput.spread import Spread, spread_of
from quantkit.throughput.workload import Workload, percentiles, sample, workload

__all__ = [
    "HighestRate",
    "Rounds",
    "Spread",
    "Trial",
    "Workload",
    "highest_rates",
    "lone_latency",
    "measure_rounds",
    "percentiles",
    "sample",
    "serve",
    "spread_of",
    "workload",
]
