"""Measuring how fast a model runs: a workload, interleaved rounds and their spread, the load of a server."""

from quantkit.throughput.rounds import Rounds, measure_rounds
from quantkit.throughput.serving import RateSearch, Trial, lone_latency, search_rates, serve
from quantkit.throughput.spread import Spread, spread_of
from quantkit.throughput.workload import Workload, percentiles, sample, workload

__all__ = [
    "RateSearch",
    "Rounds",
    "Spread",
    "Trial",
    "Workload",
    "lone_latency",
    "measure_rounds",
    "percentiles",
    "sample",
    "search_rates",
    "serve",
    "spread_of",
    "workload",
]
