"""MLPerf Inference's rules for BERT, as numbers: targets, minima, seeds, and what a system description must say.

Source: mlcommons/inference, `loadgen/mlperf.conf` and the constants of `tools/submission/submission_checker` of
round v6.0; the seeds of v6.1 are those inside mlcommons-loadgen 6.0.17.
"""

from dataclasses import dataclass
from typing import Literal

Division = Literal["open", "closed"]
ScenarioName = Literal["offline", "single-stream"]
ModeName = Literal["accuracy", "performance"]

MODEL = "bert"
"""How LoadGen's configuration calls the model; not `bert-99.9`, which it does not know."""
SCENARIOS: dict[ScenarioName, str] = {"offline": "Offline", "single-stream": "SingleStream"}
MODES: dict[ModeName, str] = {"accuracy": "AccuracyOnly", "performance": "PerformanceOnly"}

DATASET = "squad"
SAMPLES = 10_833
"""Windows of SQuAD v1.1 dev, 384 tokens with a stride of 128: LoadGen's samples."""
MIN_DURATION_MS = 600_000
OFFLINE_SLACK = 1.1
"""LoadGen issues this much more than target_qps x min_duration samples in its one Offline query."""
REFERENCE_F1 = 90.874
"""F1 of MLPerf's FP32 BERT-Large."""
BENCHMARKS = {"bert-99": 0.99, "bert-99.9": 0.999}
"""Benchmark → the share of the reference's F1 that is to be reached, compared unrounded with >=."""
CLOSED_SCENARIOS = ("Offline", "SingleStream")
"""What the closed division wants of BERT, which is in the edge suite only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seeds:
    """The three seeds a round prescribes; LoadGen carries them, and runs with zeros when it was used before."""

    qsl_rng_seed: int
    sample_index_rng_seed: int
    schedule_rng_seed: int


SEEDS = {
    "v6.1": Seeds(
        qsl_rng_seed=2085463073848966840,
        sample_index_rng_seed=2747215439041700203,
        schedule_rng_seed=16159082839903944936,
    ),
    "v6.0": Seeds(
        qsl_rng_seed=2465351861681999779,
        sample_index_rng_seed=14276810075590677512,
        schedule_rng_seed=3936089224930324775,
    ),
}
"""Round → its seeds."""

AVAILABILITIES = ("available", "preview", "rdi")
SYSTEM_TYPES = ("datacenter", "edge", "datacenter,edge", "edge,datacenter")
MEANINGFUL_FIELDS = (
    "division",
    "submitter",
    "system_type",
    "status",
    "system_name",
    "number_of_nodes",
    "host_processor_model_name",
    "host_processors_per_node",
    "host_processor_core_count",
    "host_memory_capacity",
    "host_memory_configuration",
    "host_storage_capacity",
    "host_storage_type",
    "host_networking",
    "host_network_card_count",
    "host_networking_topology",
    "accelerators_per_node",
    "accelerator_model_name",
    "accelerator_memory_capacity",
    "accelerator_host_interconnect",
    "accelerator_memory_configuration",
    "accelerator_interconnect",
    "cooling",
    "framework",
    "operating_system",
    "other_software_stack",
)
"""Fields of a system description that may not be empty."""
PRESENT_FIELDS = (
    "host_processor_frequency",
    "host_processor_caches",
    "host_processor_interconnect",
    "accelerator_frequency",
    "accelerator_interconnect_topology",
    "accelerator_on-chip_memories",
    "hw_notes",
    "sw_notes",
    "system_type_detail",
)
"""Fields that must be there and may be empty."""
SYSTEM_FIELDS = (*MEANINGFUL_FIELDS, *PRESENT_FIELDS)
MEASUREMENT_FIELDS = (
    "input_data_types",
    "retraining",
    "starting_weights_filename",
    "weight_data_types",
    "weight_transformations",
)
"""What measurements.json must say, and not leave empty."""
MAX_ACCURACY_LOG = 10 * 1024
"""The most bytes of mlperf_log_accuracy.json in a submission."""
MAX_FILE = 50 * 1024 * 1024
NOT_SUBMITTABLE = "NOT-SUBMITTABLE"
"""Marks folders, files and texts of runs that are no result."""
