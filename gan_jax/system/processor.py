"""The processor: its name, and the instructions of it that are used.

On an x86 processor with AVX-512 both kinds can be measured: what is compiled or chosen
for less is what a processor with less would run, but for its clock and caches.
"""

import os
import pathlib
import platform
import re

# Names as XLA and oneDNN have them -> the flag of /proc/cpuinfo.
INSTRUCTION_SETS = {
    "SSE4_2": "sse4_2",
    "AVX": "avx",
    "AVX2": "avx2",
    "AVX512": "avx512f",
}
_ONEDNN = {"SSE4_2": "SSE41", "AVX512": "AVX512_CORE"}  # where its name is another
_ATEN = {"AVX2": "avx2", "AVX512": "avx512"}  # PyTorch has kernels for no other
_TITLES = {"SSE4_2": "SSE 4.2", "AVX512": "AVX-512"}
_CPUINFO = pathlib.Path("/proc/cpuinfo")


def describe(platform: str) -> dict[str, str | None]:
    """Of devices that are CPUs, their processor: another one may round differently."""
    if platform != "cpu":
        return {}
    return {"processor": name(), "instruction_set": used()}


def limited_to(instruction_set: str) -> dict[str, str]:
    """Environment variables of programs that use at most an instruction set.

    For JAX its compiler and oneDNN; for PyTorch its own kernels, oneDNN and MKL.

    Args:
      instruction_set: of `INSTRUCTION_SETS`.
    """
    flags = [os.environ.get("XLA_FLAGS", ""), f"--xla_cpu_max_isa={instruction_set}"]
    return {
        "XLA_FLAGS": " ".join(flags).strip(),
        "ONEDNN_MAX_CPU_ISA": _ONEDNN.get(instruction_set, instruction_set),
        "MKL_ENABLE_INSTRUCTIONS": instruction_set,
        "ATEN_CPU_CAPABILITY": _ATEN.get(instruction_set, "default"),
    }


def title(instruction_set: str) -> str:
    """As people write it."""
    return _TITLES.get(instruction_set, instruction_set)


def used() -> str | None:
    """The highest of `INSTRUCTION_SETS` that there is and that XLA's flags allow."""
    there = highest()
    limits = re.findall(r"--xla_cpu_max_isa=(\w+)", os.environ.get("XLA_FLAGS", ""))
    if there is None or not limits:
        return there
    names = [*INSTRUCTION_SETS]  # XLA has names above the last of them
    allowed = limits[-1].upper() if limits[-1].upper() in names else names[-1]
    return min(allowed, there, key=names.index)


def highest() -> str | None:
    """The last of `INSTRUCTION_SETS` that the processor has; None if nothing says."""
    present = set(_field("flags").split())
    found = [name for name, flag in INSTRUCTION_SETS.items() if flag in present]
    return found[-1] if found else None


def name() -> str:
    """Its name, as the system knows it."""
    return _field("model name") or platform.processor() or platform.machine()


def _field(name: str) -> str:
    """A field of the first core in /proc/cpuinfo; empty where there is none."""
    if not _CPUINFO.exists():
        return ""
    with _CPUINFO.open() as file:  # of many cores it is long, and slow to be made
        for line in file:
            if line.startswith(name):
                return line.partition(":")[2].strip()
    return ""
