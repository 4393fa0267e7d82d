"""What a CPU says of itself is read the same everywhere, and never guessed."""

import os
from pathlib import Path

import pytest

from quantkit.files import canonical_json
from quantkit.runtime import cpu
from quantkit.runtime.cpu import CpuFacts, cpu_facts, parse_cpuinfo, parse_sysctl

X86 = """processor\t: 0
model name\t: Example CPU 9000
flags\t\t: fpu sse avx2 avx512f avx512_vnni avx512_bf16 amx_int8

processor\t: 1
model name\t: Example CPU 9000
flags\t\t: fpu sse
"""


def test_cpuinfo() -> None:
    """The first core's name and the instruction sets that matter are read, in a fixed order."""
    expected = ("Example CPU 9000", ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8"))
    assert expected == parse_cpuinfo(X86)


def test_cpuinfo_of_arm() -> None:
    """On Arm the line is called Features, and there may be no name."""
    assert parse_cpuinfo("processor: 0\nFeatures: fp asimddp i8mm\n") == ("", ("asimddp", "i8mm"))


def test_cpuinfo_without_flags_is_unknown() -> None:
    """A system that does not say which instruction sets there are has unknown ones, not none."""
    assert parse_cpuinfo("processor: 0\n") == ("", None)


def test_sysctl() -> None:
    """The names of macOS become those of Linux."""
    text = "machdep.cpu.brand_string: Example\nmachdep.cpu.leaf7_features: SMEP AVX2 AVX512VNNI\n"
    assert parse_sysctl(text) == ("Example", ("avx2", "avx512_vnni"))
    apple = "machdep.cpu.brand_string: Example M9\n"
    apple += "hw.optional.arm.FEAT_I8MM: 1\nhw.optional.arm.FEAT_DotProd: 0\n"
    assert parse_sysctl(apple) == ("Example M9", ("i8mm",))
    assert parse_sysctl("") == ("", None)


@pytest.mark.parametrize(
    ("machine", "sets", "expected"),
    [
        ("x86_64", ("avx2", "avx_vnni"), True),
        ("AMD64", ("avx512_vnni",), True),
        ("x86_64", ("avx2", "avx512f"), False),
        ("x86_64", None, None),
        ("arm64", ("i8mm",), None),
    ],
)
def test_has_vnni(machine: str, sets: tuple[str, ...] | None, expected: bool | None) -> None:
    """VNNI is True or False only where an x86 CPU said what it has."""
    facts = CpuFacts(model="m", machine=machine, cores=1, instruction_sets=sets)
    assert facts.has_vnni is expected


def test_facts_of_this_machine() -> None:
    """The facts of any machine are plain JSON with at least one core and no more than there are."""
    facts = cpu_facts()
    assert 1 <= facts.cores <= (os.cpu_count() or 1)
    assert facts.model
    canonical_json(facts.as_json())


@pytest.mark.parametrize(
    ("files", "membership", "expected"),
    [
        ({"cpu.max": "150000 100000"}, "0::/\n", 1.5),
        ({"cpu.max": "max 100000"}, "0::/\n", None),
        ({"a/cpu.max": "400000 100000", "a/b/cpu.max": "max 100000"}, "0::/a/b\n", 4.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "", None),
        ({"cpu/x/cpu.cfs_quota_us": "50000", "cpu/x/cpu.cfs_period_us": "100000"}, "4:cpu,cpuacct:/x\n", 0.5),
        ({"cpu.max": "nonsense"}, "0::/\n", None),
        ({}, "garbage\n", None),
    ],
)
def test_container_quota(
    tmp_path: Path, files: dict[str, str], membership: str, expected: float | None
) -> None:
    """The tightest quota of this process's control group and those around it counts, in both versions."""
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "membership").write_text(membership)
    assert cpu._cgroup_quota(tmp_path / "cgroup", tmp_path / "membership") == expected
