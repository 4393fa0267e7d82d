"""Kinds of values that settings of several sections have."""

from typing import Annotated

from quantkit.recipe.fields import Cli, Place

Dataset = Annotated[str, Place("dataset"), Cli(metavar="NAME|FILE")]
CalibrationData = Annotated[str, Place("calibration set"), Cli(metavar="SET|FILE")]
Code = Annotated[str, Place("code"), Cli(metavar="MODULE:FUNCTION")]
Seconds = Annotated[float, Cli(metavar="SECONDS")]
RayAddress = Annotated[str, Cli(metavar="HOST:PORT")]
