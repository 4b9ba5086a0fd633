"""What a benchmark was run on, and with."""

import os
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from gan_jax.run import configuration
from gan_jax.system import processor


def hardware(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The machine: processor, what of it is used, memory in GB, devices trained on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    ours = results[0]["programs"]["gan_jax"]
    return {
        "processor": processor.name(),
        "instruction_set": processor.used(),
        "cores": ours["threads"],
        "memory_gb": round(memory / 1e9, 1),
        "platform": ours["platform"],
        "device": ours["device"],
    }


def versions() -> dict[str, str | None]:
    """What is installed; None for what is not."""
    found: dict[str, str | None] = dict(configuration.versions())
    for package in ("jax_cuda13_plugin", "torch"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found
