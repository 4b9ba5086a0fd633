"""One program to measure, in a process of its own that obeys a parent.

`experiments.peers.turns` starts it as ``python -m experiments.peers.worker SPEC``,
where SPEC is a JSON object, and talks to it in lines of JSON: it reports how long each
phase took until the first step was trained, then for every line "N" on its standard
input takes N steps and reports their seconds, and at end of input reports the most
memory that it used. Nothing heavy is imported before it is needed, so that neither
framework is charged for the other.
"""

import json
import os
import pathlib
import platform
import resource
import sys
import time
import traceback
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TextIO

import numpy as np

# Trains that many steps, waits for the result, and returns the discriminator's loss.
RunSteps = Callable[[int], float]
Spec = dict[str, Any]

PEERS = {
    "eager": "PyTorch eager",
    "tuned": "PyTorch tuned",
    "compiled": "PyTorch compiled",
}


class _Phases:
    """Seconds of each phase since the process was started.

    Attributes:
      seconds: phase to seconds.
    """

    def __init__(self, spawned: float) -> None:
        self._last = spawned
        self.seconds: dict[str, float] = {}

    def end(self, phase: str) -> None:
        """What has passed since the last phase ended was this one."""
        now = time.monotonic()
        self.seconds[phase] = now - self._last
        self._last = now


def random_images(num_examples: int) -> np.ndarray:
    """Noise in place of data: uint8 ``[num_examples, 28, 28, 1]``."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (num_examples, 28, 28, 1), dtype=np.uint8)


def start_gan_jax(spec: Spec, phases: _Phases) -> tuple[RunSteps, dict[str, Any]]:
    """gan_jax up to its first step.

    Returns:
      What takes more steps, and what there is to report.
    """
    import jax

    from experiments import cli
    from gan_jax import parallel, recipes, training

    jax.config.update("jax_num_cpu_devices", spec["num_devices"])
    if spec["compilation_cache"]:
        cli.configure_jax()
    else:
        jax.config.update("jax_enable_compilation_cache", False)
    devices = parallel.choose_devices(spec["num_devices"])
    phases.end("import")
    images = _load(spec)
    gan = recipes.make_gan(recipes.Recipe(**spec["recipe"]), axis_name=parallel.AXIS)
    size, *shape = images.shape
    labels = np.arange(size, dtype=np.int32) % recipes.NUM_CLASSES
    examples = parallel.replicate(training.Examples(images, labels), devices)
    jax.block_until_ready(examples)
    phases.end("data")
    state = parallel.initialise(gan, jax.random.key(0), tuple(shape), devices)
    order = training.epoch_permutation(state.key, 0, size)
    order = parallel.replicate(order, devices)
    jax.block_until_ready((state, order))
    phases.end("initialise")
    cache_hits = []
    jax.monitoring.register_event_listener(
        lambda event, **_: event.endswith("/cache_hits") and cache_hits.append(event)
    )
    train_steps = parallel.compile_train_steps(
        gan,
        state,
        examples,
        devices,
        batch_size=spec["batch_size"],
        capacity=spec["capacity"],
    )
    phases.end("compile")

    def run_steps(num_steps: int) -> float:
        nonlocal state
        state, metrics = train_steps(state, examples, order, num_steps)
        return float(metrics["d_loss"].block_until_ready()[num_steps - 1])

    run_steps(1)
    phases.end("first step")

    def device_memory() -> int | None:
        stats = [device.memory_stats() for device in devices]
        return max(s["peak_bytes_in_use"] for s in stats) if all(stats) else None

    cache = "hit" if cache_hits else "miss"
    return run_steps, {
        "compilation_cache": cache if spec["compilation_cache"] else "off",
        "platform": devices[0].platform,
        "device": devices[0].device_kind,
        "threads": _cores(),
        "device_memory": device_memory,
    }


def start_torch(spec: Spec, phases: _Phases) -> tuple[RunSteps, dict[str, Any]]:
    """The PyTorch peer up to its first step; returns what `start_gan_jax` does."""
    import torch

    from experiments.peers import torch_gan

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_float32_matmul_precision("high")  # TF32 on a GPU, as JAX does
    torch.manual_seed(0)
    phases.end("import")
    # Always noise: pixel values do not change the time, loading would the memory.
    images = random_images(spec["num_examples"]).transpose(0, 3, 1, 2)
    images = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    phases.end("data")
    trainer = torch_gan.Trainer(
        SimpleNamespace(**spec["recipe"]),
        device,
        tuned=spec["program"] != "eager",
        compiled=spec["program"] == "compiled",
    )
    order = torch.randperm(len(images), device=device)
    labels = torch.arange(len(images), device=device) % torch_gan.NUM_CLASSES
    phases.end("initialise")
    step = 0

    def run_steps(num_steps: int) -> float:
        nonlocal step
        loss = trainer.train_steps(
            images, order, step, num_steps, spec["batch_size"], labels
        )
        step += num_steps
        if device.type == "cuda":
            torch.cuda.synchronize()
        return loss.item()

    if spec["program"] == "compiled":
        run_steps(1)  # compiles on the way
        phases.end("compile")
    run_steps(1)
    phases.end("first step")
    on_gpu = device.type == "cuda"
    return run_steps, {
        "platform": "gpu" if on_gpu else "cpu",
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "threads": torch.get_num_threads(),
        "device_memory": torch.cuda.max_memory_allocated if on_gpu else lambda: None,
    }


def _load(spec: Spec) -> np.ndarray:
    if spec["data"] == "random":
        return random_images(spec["num_examples"])
    from gan_jax import data
    from gan_jax.errors import UserError

    name, size = spec["data"], spec["num_examples"]
    images = data.load(name, data_dir=spec["data_dir"], garments_size=size).images
    if len(images) < size:
        raise UserError(f"--num_examples={size}, and {name} has {len(images)} images")
    return images[:size]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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


def serve(spec: Spec, requests: TextIO, replies: TextIO) -> None:
    """Starts the program and takes steps until the requests end."""

    def reply(**message: Any) -> None:
        print(json.dumps(message), file=replies, flush=True)

    phases = _Phases(spec["spawned"])
    start = start_gan_jax if spec["program"] == "gan_jax" else start_torch
    try:
        run_steps, report = start(spec, phases)
        device_memory = report.pop("device_memory")
        reply(start=phases.seconds, **report)
        for line in requests:
            started = time.perf_counter()
            loss = run_steps(int(line))
            reply(seconds=time.perf_counter() - started, loss=loss)
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
