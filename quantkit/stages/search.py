"""search: a trained checkpoint → smaller ones within limits, priced as INT8 on this machine."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from quantkit.artifact import Artifact
from quantkit.artifact.measure import tool_versions
from quantkit.checkpoint import Checkpoint, read_checkpoint
from quantkit.errors import QuantizationError
from quantkit.files import require_free, write_json
from quantkit.partial import new_folder
from quantkit.recipe.search_settings import SearchSettings
from quantkit.records import ShapeSearch
from quantkit.runtime.cpu import cpu_facts
from quantkit.shapes import Found, find, materialise
