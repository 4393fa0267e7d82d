"""systems/<system>.json: the 35 fields of a system description, filled in as far as the machine tells.

What nobody can ask the machine (cooling, network, memory modules, whether it can be bought) stays empty and is asked of
the user, before anything runs. Values are text; an empty value means not known.
"""

import contextlib
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path

from quantkit.artifact.measure import tool_versions
from quantkit.errors import UsageError
from quantkit.mlperf.rules import AVAILABILITIES, MEANINGFUL_FIELDS, SYSTEM_FIELDS, SYSTEM_TYPES
from quantkit.runtime.cpu import cpu_facts
from quantkit.strict_json import read_json

_NONE = "N/A"
_CHOICES = {"status": AVAILABILITIES, "system_type": SYSTEM_TYPES}
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def machine_facts() -> dict[str, str]:
    """Return the fields that this machine and this installation can fill in."""
    tools = tool_versions("onnxruntime", "mlcommons-loadgen", "numpy")
    sockets, cores = _sockets()
    return {
        "number_of_nodes": "1",
        "host_processor_model_name": cpu_facts().model,
        "host_processors_per_node": str(sockets),
        "host_processor_core_count": str(cores),
        "host_processor_caches": _caches(),
        "host_memory_capacity": _memory(),
        "accelerators_per_node": "0",
        "accelerator_model_name": _NONE,
        "accelerator_memory_capacity": _NONE,
        "accelerator_host_interconnect": _NONE,
        "accelerator_memory_configuration": _NONE,
        "accelerator_interconnect": _NONE,
        "framework": f"ONNX Runtime {tools.get('onnxruntime', '')}".strip(),
        "operating_system": _operating_system(),
        "other_software_stack": ", ".join(
            f"{name} {version}" for name, version in tools.items() if name != "onnxruntime"
        ),
    }


def describe(
    given: Mapping[str, str], *, division: str, submitter: str, system_name: str = ""
) -> dict[str, str]:
    """Return all 35 fields, what is given before what the machine says; further given fields follow.

    Raises:
        UsageError: a given field says something else than `division` or `submitter`, or is none of its choices.
    """
    own = {"division": division, "submitter": submitter}
    for name, value in own.items():
        if value and given.get(name, value).lower() != value.lower():
            raise UsageError(f"system description: {name} is {given[name]!r}, but --{name} says {value!r}")
    known = machine_facts() | ({"system_name": system_name} if system_name else {}) | dict(given) | own
    for name, choices in _CHOICES.items():
        if known.get(name) and known[name].lower() not in choices:
            raise UsageError(
                f"system description: {name} is {known[name]!r}; choose one of {', '.join(choices)}"
            )
    return {name: known.get(name, "") for name in (*SYSTEM_FIELDS, *(set(known) - set(SYSTEM_FIELDS)))}


def missing_fields(description: Mapping[str, str]) -> list[str]:
    """Return the fields that must say something and do not."""
    return [name for name in MEANINGFUL_FIELDS if not description.get(name, "").strip()]


def read_description(path: Path) -> dict[str, str]:
    """Read a system description; numbers become text.

    Raises:
        UsageError: it is missing or is not a JSON object of texts and numbers.
    """
    try:
        content = read_json(path)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; make one with --describe-system") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: is not JSON ({error}); make one with --describe-system") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: is not a JSON object; make one with --describe-system")
    for name, value in content.items():
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise UsageError(f"{path}: {name}: expected a text")
    return {name: str(value) for name, value in content.items()}


def _sockets() -> tuple[int, int]:
    """Return sockets, and physical cores of each; what the process may use where the system does not say."""
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        sockets = set(re.findall(r"^physical id\s*:\s*(\d+)$", text, re.MULTILINE))
        cores = re.search(r"^cpu cores\s*:\s*(\d+)$", text, re.MULTILINE)
        if sockets and cores:
            return len(sockets), int(cores[1])
    return 1, cpu_facts().cores


def _caches() -> str:
    found = []
    for folder in sorted(_CACHES.glob("index*")):
        with contextlib.suppress(OSError):
            level, kind, size = (
                (folder / name).read_text(encoding="utf-8").strip() for name in ("level", "type", "size")
            )
            found.append(f"L{level} {kind.lower()} {size}")
    return ", ".join(found)


def _memory() -> str:
    with contextlib.suppress(ValueError, OSError, AttributeError):
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return f"{size / 2**30:.0f} GiB"
    return ""


def _operating_system() -> str:
    with contextlib.suppress(OSError, KeyError):
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {platform.system()} {platform.release()}"
    return f"{platform.system()} {platform.release()}"
