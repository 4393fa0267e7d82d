"""What type checkers and editors know of `quantkit`; `__init__.py` imports it when it is first used."""

from quantkit.api.looking import check_data as check_data
from quantkit.api.making import export as export
from quantkit.api.making import import_ as import_
from quantkit.api.making import quantize as quantize
from quantkit.api.making import search_report as search_report
from quantkit.api.model import load as load
from quantkit.api.proving import bench as bench
from quantkit.api.proving import evaluate as evaluate
from quantkit.api.proving import gate as gate
from quantkit.api.proving import inspect as inspect
from quantkit.api.proving import publish as publish
from quantkit.api.proving import sensitivity as sensitivity
from quantkit.api.running import run as run
from quantkit.api.smaller import distill as distill
from quantkit.api.smaller import search as search

__version__: str
