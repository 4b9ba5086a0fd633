"""One program to measure, in a process of its own that obeys a parent.

`turns` starts it as ``python -m experiments.measure.peers.worker SPEC``, where SPEC is
a JSON object, and talks to it in lines of JSON: it reports how long each phase took
until the first step was trained, then for every line "N" on its standard input takes N
steps and reports their seconds and their result, and at end of input reports the most
memory that it used. Nothing heavy is imported before it is needed, so that neither
framework is charged for the other.
"""

import importlib
import json
import os
import pathlib
import platform
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import numpy as np

# Trains that many steps, waits for the result, and returns the discriminator's loss.
RunSteps = Callable[[int], float]
Spec = dict[str, Any]

# What may be measured beside gan_jax.
PEERS = {
    "recorded": "gan_jax, in a run folder",
    "stepwise": "gan_jax, a call a step",
    "eager": "PyTorch eager",
    "tuned": "PyTorch tuned",
    "compiled": "PyTorch compiled",
    "graphed": "PyTorch CUDA graph",
}
IN_JAX = ("gan_jax", "recorded", "stepwise")


class Phases:
    """Seconds of each phase since the process was started.

    Attributes:
      seconds: phase to seconds.
    """

    def __init__(self, spawned: float) -> None:
        """Begins at `time.monotonic` of the process that started this one."""
        self._last = spawned
        self.seconds: dict[str, float] = {}

    def end(self, phase: str) -> None:
        """What has passed since the last phase ended was this one."""
        now = time.monotonic()
        self.seconds[phase] = now - self._last
        self._last = now


NUM_CLASSES = 10  # of Fashion-MNIST, and of the noise


def random_images(num_examples: int, shape: Sequence[int] = (28, 28, 1)) -> np.ndarray:
    """Noise in place of data: uint8 ``[num_examples, height, width, channels]``."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (num_examples, *shape), dtype=np.uint8)


def peak_memory() -> int:
    """The most resident memory of this process so far, in bytes."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        # Unlike `getrusage`, which starts from what the parent used before `exec`.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if platform.system() == "Darwin" else peak * 1024


def _module(program: str) -> str:
    if program == "machine":
        return "experiments.measure.peers.machine"
    place = "jax_programs" if program in IN_JAX else "pytorch.programs"
    return f"experiments.measure.peers.{place}"


def serve(spec: Spec, requests: TextIO, replies: TextIO) -> None:
    """Starts the program and takes steps until the requests end."""

    def reply(**message: Any) -> None:
        print(json.dumps(message), file=replies, flush=True)

    phases = Phases(spec["spawned"])
    try:
        module = importlib.import_module(_module(spec["program"]))
        run_steps, report = module.start(spec, phases)
        device_memory = report.pop("device_memory")
        reply(start=phases.seconds, **report)
        for line in requests:
            started = time.perf_counter()
            result = run_steps(int(line))
            reply(seconds=time.perf_counter() - started, result=result)
        reply(memory=peak_memory(), device_memory=device_memory())
    except Exception as error:
        reply(
            error=str(error),
            kind=type(error).__name__,
            traceback=traceback.format_exc(),
        )


if __name__ == "__main__":
    # The pipe is for replies alone: what a library prints goes to stderr.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(json.loads(sys.argv[1]), sys.stdin, replies)
