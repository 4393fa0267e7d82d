"""What this CPU is: its name, the cores this process may use, the instruction sets that matter to INT8."""

import functools
import math
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What onnxruntime's kernels choose between, by the names Linux gives them: results and speed depend on these.
INSTRUCTION_SETS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
    "sve",
)
_VNNI = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_X86 = frozenset({"x86_64", "amd64", "i386", "i686"})
# macOS names the same things otherwise (machdep.cpu.* on Intel, hw.optional.arm.* on Apple silicon).
_SYSCTL_NAMES = {
    "AVX2": "avx2",
    "AVX512F": "avx512f",
    "AVX512VNNI": "avx512_vnni",
    "FEAT_DotProd": "asimddp",
    "FEAT_I8MM": "i8mm",
}
_SYSCTL_KEYS = (
    "machdep.cpu.brand_string",
    "machdep.cpu.features",
    "machdep.cpu.leaf7_features",
    "hw.optional.arm.FEAT_DotProd",
    "hw.optional.arm.FEAT_I8MM",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CpuFacts:
    """One CPU as this process sees it.

    Attributes:
        model: the name its maker gave it, or what the platform calls it.
        machine: the architecture, such as `x86_64` or `arm64`.
        cores: how many cores this process may use: affinity and container limits are respected.
        instruction_sets: those of `INSTRUCTION_SETS` it has, None where the system does not say.
    """

    model: str
    machine: str
    cores: int
    instruction_sets: tuple[str, ...] | None

    @property
    def has_vnni(self) -> bool | None:
        """Whether 8-bit products are summed in 32 bits; None when unknown, and on anything but x86.

        An x86 CPU without it adds pairs of u8 x s8 products in 16 bits, which saturates unless weights are
        kept to 7 bits (`reduce_range`).
        """
        if self.instruction_sets is None or self.machine.lower() not in _X86:
            return None
        return not _VNNI.isdisjoint(self.instruction_sets)

    def as_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON, for manifests and reports."""
        sets = None if self.instruction_sets is None else list(self.instruction_sets)
        return {"model": self.model, "machine": self.machine, "cores": self.cores, "instruction_sets": sets}

    def kernels_json(self) -> dict[str, Any]:
        """Return only what decides which kernels run, and so the last digits of a result."""
        facts = self.as_json()
        return {"machine": facts["machine"], "instruction_sets": facts["instruction_sets"]}


@functools.cache
def cpu_facts() -> CpuFacts:
    """Return the facts about this machine's CPU, asked once per process."""
    model, sets = _linux() or _macos() or (platform.processor(), None)
    return CpuFacts(
        model=model or platform.machine() or "unknown",
        machine=platform.machine(),
        cores=available_cores(),
        instruction_sets=sets,
    )


def available_cores() -> int:
    """Return how many cores this process may use: its affinity mask, cut by the quota of its container."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _cgroup_quota(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def parse_cpuinfo(text: str) -> tuple[str, tuple[str, ...] | None]:
    """Return the model name and instruction sets that `/proc/cpuinfo` names for its first core."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags") or fields.get("Features")
    return fields.get("model name", ""), None if flags is None else _known(flags.split())


def parse_sysctl(text: str) -> tuple[str, tuple[str, ...] | None]:
    """Return the model name and instruction sets in the `key: value` lines of macOS's sysctl."""
    lines = [line.partition(": ") for line in text.splitlines()]
    fields = {key: value.strip() for key, _, value in lines}
    words = {word for key, value in fields.items() if "features" in key for word in value.split()}
    words |= {key.rpartition(".")[2] for key, value in fields.items() if ".FEAT_" in key and value == "1"}
    model = fields.get("machdep.cpu.brand_string", "")
    return model, _known(_SYSCTL_NAMES.get(word, "") for word in words) if words else None


def _known(flags: Iterable[str]) -> tuple[str, ...]:
    present = set(flags)
    return tuple(name for name in INSTRUCTION_SETS if name in present)


def _linux() -> tuple[str, tuple[str, ...] | None] | None:
    try:
        return parse_cpuinfo(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None


def _macos() -> tuple[str, tuple[str, ...] | None] | None:
    if platform.system() != "Darwin":
        return None
    try:
        # Keys this machine does not have make sysctl exit with 1; the others are printed all the same.
        answer = subprocess.run(  # noqa: S603  (a fixed command)
            ["/usr/sbin/sysctl", *_SYSCTL_KEYS], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_sysctl(answer.stdout)


def _cgroup_quota(root: Path, membership: Path) -> float | None:
    """Return the smallest CPU quota, in cores, of this process's control group and those around it.

    Version 2 writes `cpu.max` ("quota period" or "max period"), version 1 `cpu.cfs_quota_us` (-1: none) and
    `cpu.cfs_period_us`.
    """
    folders = [root, root / "cpu"]
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "" or "cpu" in controllers.split(","):
            base = root if controllers == "" else root / "cpu"
            own = base / path.strip().lstrip("/")
            folders += [own, *(parent for parent in own.parents if parent.is_relative_to(base))]
    quotas = [quota for folder in folders if (quota := _folder_quota(folder)) is not None]
    return min(quotas, default=None)


def _folder_quota(folder: Path) -> float | None:
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            words = " ".join((folder / name).read_text(encoding="utf-8") for name in names).split()
            quota, period = int(words[0]), int(words[1])
        except (OSError, ValueError, IndexError):
            continue
        if quota > 0 and period > 0:
            return quota / period
    return None
