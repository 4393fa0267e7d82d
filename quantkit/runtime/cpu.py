"""What this CPU is: its name, the cores this process may use, the instruction sets that matter to INT8.

Which INT8 kernels run is decided by the CPU alone, so a measurement is proof for CPUs of the same kernels and for no
other: with AVX512-VNNI nothing shows what happens on AVX2, where sums saturate. `TARGETS` names the kinds of kernels.
"""

import difflib
import functools
import math
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from quantkit.errors import UsageError

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
_ARM = frozenset({"aarch64", "arm64"})
NATIVE = "native"
ANY = "any"
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

        An x86 CPU without it adds pairs of u8 x s8 products in 16 bits, which saturates unless weights keep the pair
        limit, as those of 7 bits do.
        """
        if self.instruction_sets is None or self.machine.lower() not in _X86:
            return None
        return not _VNNI.isdisjoint(self.instruction_sets)

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Self:
        """Return the facts that a manifest or report holds; what it lacks, or says in another form, is unknown."""
        sets, cores = facts.get("instruction_sets"), facts.get("cores")
        return cls(
            model=str(facts.get("model", "unknown")),
            machine=str(facts.get("machine", "unknown")),
            cores=cores if isinstance(cores, int) else 1,
            instruction_sets=tuple(str(name) for name in sets) if isinstance(sets, list | tuple) else None,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON, for manifests and reports."""
        sets = None if self.instruction_sets is None else list(self.instruction_sets)
        return {"model": self.model, "machine": self.machine, "cores": self.cores, "instruction_sets": sets}

    @property
    def kernels(self) -> str:
        """What decides which kernels run, in one line, such as `x86_64 avx2 avx512f`."""
        return " ".join((self.machine, *(self.instruction_sets or ())))

    def kernels_json(self) -> dict[str, Any]:
        """Return only what decides which kernels run, and so the last digits of a result."""
        facts = self.as_json()
        return {"machine": facts["machine"], "instruction_sets": facts["instruction_sets"]}


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetIsa:
    """One kind of INT8 kernels, named after the instruction set that makes it.

    Attributes:
        name: what `--target-isa` and manifests call it.
        machines: the names of the architecture.
        needs: the instruction set that a CPU must have; None where the architecture itself is enough.
        saturates: sums of two u8 x s8 products are kept in 16 bits: weights must keep the pair limit, be of 7 bits
            (`reduce_range`), or uint8, whose products onnxruntime sums in 32 bits on every CPU.
        stands_for: what a reader needs to know.
    """

    name: str
    machines: frozenset[str]
    needs: str | None
    saturates: bool
    stands_for: str


# Of each architecture in the order in which onnxruntime prefers them: a CPU runs the first that it has. Integer sums
# are exact, so CPUs that differ in other instruction sets (AVX-512F on top of AVX2) agree in every product.
TARGETS = (
    TargetIsa(
        name="amx_int8", machines=_X86, needs="amx_int8", saturates=False, stands_for="x86 with AMX tiles"
    ),
    TargetIsa(
        name="avx512_vnni",
        machines=_X86,
        needs="avx512_vnni",
        saturates=False,
        stands_for="x86 with AVX512-VNNI: Cascade Lake, Ice Lake, Zen 4",
    ),
    TargetIsa(
        name="avx_vnni",
        machines=_X86,
        needs="avx_vnni",
        saturates=False,
        stands_for="x86 with AVX-VNNI and no AVX-512: Alder Lake and its like",
    ),
    TargetIsa(
        name="avx2",
        machines=_X86,
        needs="avx2",
        saturates=True,
        stands_for="x86 without VNNI: Haswell to Zen 3, and AVX-512 before Cascade Lake",
    ),
    TargetIsa(
        name="i8mm", machines=_ARM, needs="i8mm", saturates=False, stands_for="Arm with 8-bit matrix products"
    ),
    TargetIsa(
        name="asimddp", machines=_ARM, needs="asimddp", saturates=False, stands_for="Arm with dot products"
    ),
    TargetIsa(name="neon", machines=_ARM, needs=None, saturates=False, stands_for="any other 64-bit Arm"),
)
# Weights whose sums no kernel saturates: integer products are equal to the last bit on all CPUs. Arm asks for nothing
# more: `ummla` and `udot` add in 32 bits; plain Neon adds two products of int8 in 16, and 2 · 128 · 127 fits.
_EVERY = TargetIsa(
    name=ANY,
    machines=_X86 | _ARM,
    needs=None,
    saturates=True,
    stands_for="every CPU: sums that none saturates",
)
TARGET_NAMES = (NATIVE, ANY, *(target.name for target in TARGETS))


def resolve_target(name: str, facts: CpuFacts) -> TargetIsa:
    """Return what a target's name stands for.

    Args:
        name: one of `TARGET_NAMES`. `native` is the kind of kernels that this CPU runs. Where that has no name (the
            system does not say, or the CPU is older than all of them), the target stays `native`.
        facts: the CPU that `native` is about.

    Raises:
        UsageError: nothing has that name.
    """
    if name == NATIVE:
        return _native(facts)
    for target in (_EVERY, *TARGETS):
        if target.name == name:
            return target
    near = difflib.get_close_matches(name, TARGET_NAMES, n=1)
    hint = f"did you mean {near[0]}?" if near else f"choose {', '.join(TARGET_NAMES)}"
    raise UsageError(f"--target-isa {name}: there is no such target; {hint}")


def saturates_here() -> bool:
    """Return whether this CPU keeps sums of two u8 x s8 products in 16 bits."""
    return resolve_target(NATIVE, cpu_facts()).saturates


def int8_products(*, asked: bool) -> str:
    """Return how int8 weights are multiplied here: `u8s8`, or `u8u8` where that is asked for and makes a difference."""
    return "u8u8" if asked and saturates_here() else "u8s8"


def validated_here(target: TargetIsa, facts: CpuFacts) -> bool:
    """Return whether this CPU runs the very kernels of `target`, so that what is measured here is true of it.

    Having the instruction set is not enough: onnxruntime runs the best kernels there are. A CPU with AVX512-VNNI
    has AVX2 too, and says nothing about it. What is for `any` has the same integer products everywhere.
    """
    return target.name in (NATIVE, ANY, _native(facts).name)


def validated_on(target: TargetIsa, facts: CpuFacts) -> tuple[str, ...]:
    """Return the kinds of kernels that an artifact for `target` has been run on by this CPU, as manifests say it."""
    if target.name == ANY:
        return (_native(facts).name,)
    return (target.name,) if validated_here(target, facts) else ()


def _native(facts: CpuFacts) -> TargetIsa:
    machine = facts.machine.lower()
    if facts.instruction_sets is not None:
        for target in TARGETS:
            if machine in target.machines and target.needs in (None, *facts.instruction_sets):
                return target
    return TargetIsa(
        name=NATIVE,
        machines=frozenset({machine}),
        needs=None,
        saturates=facts.has_vnni is False,
        stands_for="the CPU at hand, whose kernels have no name here",
    )


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
