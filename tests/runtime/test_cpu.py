"""What a CPU says of itself is read the same everywhere, and never guessed."""

import os
from pathlib import Path

import pytest

from quantkit.errors import UsageError
from quantkit.files import canonical_json
from quantkit.runtime import cpu
from quantkit.runtime.cpu import (
    TARGET_NAMES,
    TARGETS,
    CpuFacts,
    cpu_facts,
    parse_cpuinfo,
    parse_sysctl,
    resolve_target,
    validated_here,
    validated_on,
)

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
    assert parse_cpuinfo(X86) == expected


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


def facts_of(machine: str, *sets: str) -> CpuFacts:
    return CpuFacts(model="m", machine=machine, cores=1, instruction_sets=sets)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (facts_of("x86_64", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8"), "amx_int8"),
        (facts_of("x86_64", "avx2", "avx512f", "avx512_vnni", "avx_vnni"), "avx512_vnni"),
        (facts_of("AMD64", "avx2", "avx_vnni"), "avx_vnni"),
        (facts_of("x86_64", "avx2", "avx512f"), "avx2"),
        (facts_of("x86_64"), "native"),
        (facts_of("aarch64", "asimddp", "i8mm", "sve"), "i8mm"),
        (facts_of("aarch64", "asimddp"), "asimddp"),
        (facts_of("arm64"), "neon"),
        (facts_of("ppc64le"), "native"),
        (CpuFacts(model="m", machine="AMD64", cores=1, instruction_sets=None), "native"),
    ],
)
def test_native_is_the_best_kernels_there_are(facts: CpuFacts, expected: str) -> None:
    """A CPU validates the one target whose kernels it runs: not those it could run, nor those it lacks."""
    assert resolve_target("native", facts).name == expected
    validated = [target.name for target in TARGETS if validated_here(target, facts)]
    assert validated == ([] if expected == "native" else [expected])
    assert validated_here(resolve_target("native", facts), facts)


def test_only_x86_without_vnni_saturates() -> None:
    """A target saturates exactly when a CPU that has nothing better is one without VNNI."""
    for target in TARGETS:
        machine, sets = min(target.machines), [target.needs] if target.needs else []
        assert target.saturates is (facts_of(machine, *sets).has_vnni is False)
    assert resolve_target("native", facts_of("x86_64")).saturates
    assert not resolve_target("native", facts_of("ppc64le")).saturates


@pytest.mark.parametrize("sets", [["avx2"], ["avx2", "avx512_vnni"], []])
def test_any_is_validated_wherever_it_is_run(sets: list[str]) -> None:
    """What is for any CPU names the kernels it was run on, whichever they are; what is for one kind only those."""
    here = facts_of("x86_64", *sets)
    every, native = resolve_target("any", here), resolve_target("native", here)
    assert every.saturates
    assert validated_here(every, here)
    assert validated_on(every, here) == (native.name,) == validated_on(native, here)
    assert validated_on(resolve_target("neon", here), here) == ()


def test_a_target_is_found_by_name() -> None:
    """A name means the same on every machine; one that is wrong gets the nearest, or all of them."""
    elsewhere = facts_of("ppc64le")
    assert [resolve_target(name, elsewhere).name for name in TARGET_NAMES] == list(TARGET_NAMES)
    with pytest.raises(UsageError, match="did you mean avx512_vnni"):
        resolve_target("avx512-vnni", elsewhere)
    with pytest.raises(UsageError, match="choose native, any, amx_int8, "):
        resolve_target("quick", elsewhere)


def test_facts_are_read_back() -> None:
    """Facts survive JSON; what a file lacks or says in another form is unknown."""
    facts = cpu_facts()
    assert CpuFacts.from_json(facts.as_json()) == facts
    unknown = CpuFacts(model="unknown", machine="unknown", cores=1, instruction_sets=None)
    assert CpuFacts.from_json({}) == unknown
    assert CpuFacts.from_json({"instruction_sets": "avx2", "cores": "2"}) == unknown


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
