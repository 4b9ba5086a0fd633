"""What is measured on: hardware, versions, and how much of the processor is used.

On an x86 processor with AVX-512 both kinds can be measured: what is compiled or chosen
for less is what a processor with less would run, but for its clock and caches.
"""

import os
import pathlib
import platform
import re
from collections.abc import Sequence
from importlib import metadata
from typing import Any

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


def hardware(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The machine: processor, what of it is used, memory in GB, devices trained on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    ours = results[0]["programs"]["gan_jax"]
    return {
        "processor": processor(),
        "instruction_set": used(),
        "cores": ours["threads"],
        "memory_gb": round(memory / 1e9, 1),
        "platform": ours["platform"],
        "device": ours["device"],
    }


def versions() -> dict[str, str | None]:
    """What is installed; None for what is not."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    packages = ("gan_jax", "jax", "jaxlib", "jax_cuda13_plugin", "flax", "optax")
    for package in (*packages, "torch"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def limited_to(name: str) -> dict[str, str]:
    """Environment variables of programs that use at most an instruction set.

    For JAX its compiler and oneDNN; for PyTorch its own kernels, oneDNN and MKL.

    Args:
      name: of `INSTRUCTION_SETS`.
    """
    flags = [os.environ.get("XLA_FLAGS", ""), f"--xla_cpu_max_isa={name}"]
    return {
        "XLA_FLAGS": " ".join(flags).strip(),
        "ONEDNN_MAX_CPU_ISA": _ONEDNN.get(name, name),
        "MKL_ENABLE_INSTRUCTIONS": name,
        "ATEN_CPU_CAPABILITY": _ATEN.get(name, "default"),
    }


def title(name: str) -> str:
    """As people write it."""
    return _TITLES.get(name, name)


def used() -> str | None:
    """The highest of `INSTRUCTION_SETS` that there is and that XLA's flags allow."""
    there = highest()
    limits = re.findall(r"--xla_cpu_max_isa=(\w+)", os.environ.get("XLA_FLAGS", ""))
    if there is None or not limits:
        return there
    return min(limits[-1].upper(), there, key=[*INSTRUCTION_SETS].index)


def highest() -> str | None:
    """The last of `INSTRUCTION_SETS` that the processor has; None if nothing says."""
    present = set(_field("flags").split())
    found = [name for name, flag in INSTRUCTION_SETS.items() if flag in present]
    return found[-1] if found else None


def processor() -> str:
    """Its name, as the system knows it."""
    return _field("model name") or platform.processor() or platform.machine()


def _field(name: str) -> str:
    """A field of the first core in /proc/cpuinfo; empty where there is none."""
    if not _CPUINFO.exists():
        return ""
    for line in _CPUINFO.read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return ""
