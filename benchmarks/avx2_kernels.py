"""Runs a command with onnxruntime's AVX2 kernels at full speed, on an x86 that has better ones.

    prefix="$(python benchmarks/avx2_kernels.py DIR)"
    $prefix quantkit evaluate runs/minilm-static --data squad

onnxruntime chooses its kernels by what CPUID and XGETBV say, and has no setting for it. DIR gets a copy of the
installed package in which XGETBV always says that the system saves no more than AVX's registers, and the question for
AVX-VNNI is always answered no; and a `cpuinfo` without what comes after AVX2. The prefix runs a command in a mount
namespace of its own that sees both. What is installed stays as it is.

The integer kernels are then those of the processors without VNNI, saturation included, to the last bit. The speed is
that of AVX2 code on this processor, which has other ports, caches and clocks than an older one: say so beside every
number.
Emulation (CONTRIBUTING.md) needs no such copy and is some 50 times slower.
"""

import argparse
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

_XGETBV = b"\x0f\x01\xd0"
_AVX_ONLY = b"\x6a\x07\x58"  # push 7; pop rax: x87, SSE and AVX registers are saved, and no others
_HAS_AVX_VNNI = b"\x0f\xa2\xa8\x10"  # cpuid; test al, 16
_NEVER = b"\x0f\xa2\xa8\x00"  # cpuid; test al, 0
_LATER = re.compile(r"\b(?:avx512\w*|avx_vnni\w*|avx10\w*|amx_\w+) ?")
_INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):.*\bxgetbv\b", re.MULTILINE)


def main() -> None:
    """Make the copy unless it is there, and print the prefix."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dir", type=Path, help="where the copy goes")
    folder = parser.parse_args().dir.resolve()
    if not (folder / "cpuinfo").is_file():
        _copy(folder)
    print(folder / "run")


def _copy(folder: Path) -> None:
    found = importlib.util.find_spec("onnxruntime")
    if found is None or found.origin is None:
        raise SystemExit("onnxruntime is not installed; install quantkit")
    installed = Path(found.origin).parent
    shutil.copytree(installed, folder / "onnxruntime", dirs_exist_ok=True)
    (module,) = (folder / "onnxruntime" / "capi").glob("onnxruntime_pybind11_state*.so")
    module.write_bytes(_without_avx512(module))
    run = folder / "run"
    run.write_text(
        "#!/bin/sh\n"
        "exec unshare -rm sh -c '"
        f"mount --bind {folder}/cpuinfo /proc/cpuinfo && mount --bind {folder}/onnxruntime {installed} && "
        'exec "$@"\' sh "$@"\n'
    )
    run.chmod(0o755)
    (folder / "cpuinfo").write_text(_LATER.sub("", Path("/proc/cpuinfo").read_text()))


def _without_avx512(module: Path) -> bytes:
    """Return the library's bytes with each XGETBV instruction answered, and AVX-VNNI denied."""
    said = subprocess.run(
        ["/usr/bin/objdump", "-d", "--no-show-raw-insn", str(module)],
        capture_output=True,
        text=True,
        check=True,
    )
    content = bytearray(module.read_bytes())
    places = [int(place, 16) for place in _INSTRUCTION.findall(said.stdout)]
    for place in places:  # text segments of these libraries lie in the file where they lie in memory
        if content[place : place + 3] != _XGETBV:
            raise SystemExit(
                f"{module.name}: no XGETBV at {place:#x} of the file; this build is laid out in another way"
            )
        content[place : place + 3] = _AVX_ONLY
    if not places or content.count(_HAS_AVX_VNNI) != 1:
        raise SystemExit(f"{module.name}: asks for AVX-512 in another way than this script knows")
    return bytes(content.replace(_HAS_AVX_VNNI, _NEVER))


if __name__ == "__main__":
    main()
