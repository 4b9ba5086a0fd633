"""Programs that take turns: measured side by side, so that both see the same noise.

Each program runs in a process of its own (`experiments.peers.worker`) and waits while
another works. In every round each takes the same number of steps; a ratio is of two
programs within one round, and the spread is over rounds.
"""

import contextlib
import dataclasses
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from experiments.peers import worker
from gan_jax import data, parallel, recipes, training
from gan_jax.errors import UserError, check_name
from gan_jax.recipes import Recipe

Result = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Config:
    """What to measure.

    Attributes:
      losses: names in `gan_jax.losses.LOSSES`.
      batch_size: real examples of a discriminator update, over all devices.
      conditional: whether the networks see labels.
      num_devices: devices of gan_jax; on a CPU, simulated ones.
      steps: generator steps of each program in a round.
      rounds: how often each program has its turn.
      precision: of gan_jax; the peers compute in float32.
      data: "random" or a data set's name.
      data_dir: folder of the data set, or None.
      num_examples: size of the data set.
      compilation_cache: whether gan_jax uses JAX's persistent compilation cache.
      peers: names in `worker.PEERS`.
    """

    losses: Sequence[str] = ("wasserstein_gp", "nonsaturating")
    batch_size: int = 64
    conditional: bool = False
    num_devices: int = 1
    steps: int = 50
    rounds: int = 7
    precision: str = "float32"
    data: str = "random"
    data_dir: str | None = None
    num_examples: int = 60_000
    compilation_cache: bool = True
    peers: Sequence[str] = ("eager", "tuned")

    def recipe(self, loss: str) -> Recipe:
        """The numbers that train this loss."""
        return recipes.recipe(
            loss,
            precision=self.precision,
            batch_size=self.batch_size,
            conditional=self.conditional,
        )

    def check(self) -> None:
        """Refuses what could not be measured, before anything is.

        Raises:
          UserError: an unknown name, or a number out of range.
        """
        for name in ("batch_size", "num_devices", "steps", "rounds", "num_examples"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name}={getattr(self, name)} must be at least 1")
        if not self.losses:
            raise UserError("--loss is empty: name at least one")
        for peer in self.peers:
            check_name("peer", peer, worker.PEERS)
        check_name("data", self.data, ("random", *data.DATASETS))
        parallel.local_batch_size(self.batch_size, self.num_devices)
        for loss in self.losses:
            gan = recipes.make_gan(self.recipe(loss))
            training.steps_per_epoch(gan, self.num_examples, self.batch_size)


class Worker:
    """A program in its own process.

    Attributes:
      report: what it said once its first step was trained.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        """Starts the process and waits for its first trained step.

        Raises:
          WorkerError: it did not get there.
          UserError: it could not, by a user's mistake.
        """
        environment = dict(os.environ)
        if spec["shared_device"]:  # JAX would keep most of a GPU for itself
            environment.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.4")
        command = [sys.executable, "-m", worker.__name__]
        spec = {**spec, "spawned": time.monotonic()}
        self._process = subprocess.Popen(
            [*command, json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        try:
            self.report = self._receive()
        except BaseException:
            self.close()
            raise

    def run(self, steps: int) -> float:
        """Takes steps; returns milliseconds a step.

        Raises:
          WorkerError: the process died, or its loss is not finite.
        """
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        reply = self._receive()
        if not math.isfinite(reply["loss"]):
            raise WorkerError(f"the loss became {reply['loss']}")
        return 1e3 * reply["seconds"] / steps

    def finish(self) -> tuple[int, int | None]:
        """Ends the process; returns its peak memory on host and device, in bytes."""
        self._process.stdin.close()
        reply = self._receive()
        self._process.wait()
        return reply["memory"], reply["device_memory"]

    def close(self) -> None:
        """Ends the process, whatever it is doing."""
        self._process.kill()
        with contextlib.suppress(OSError):  # what it can no longer read
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def _receive(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(f"the process ended with status {self._process.wait()}")
        reply = json.loads(line)
        if reply.get("kind") == "UserError":
            raise UserError(reply["error"])
        if "error" in reply:
            raise WorkerError(f"{reply['kind']}: {reply['error']}", reply["traceback"])
        return reply


class WorkerError(RuntimeError):
    """A program failed: one line why, and the traceback of its process, if any."""

    def __init__(self, reason: str, traceback: str = "") -> None:
        """Keeps the first line of the reason that says something."""
        lines = [line.strip() for line in reason.splitlines() if line.strip()]
        super().__init__(lines[0] if lines else reason)
        self.traceback = traceback

    def __str__(self) -> str:
        return "\n".join([*map(str, self.args), self.traceback]).strip()


def measure(config: Config, say: Callable[[str], None] = print) -> list[Result]:
    """Measures gan_jax and its peers on every loss.

    Args:
      config: what to measure.
      say: takes a line of progress.

    Returns:
      For each loss: ``loss``, ``recipe``, ``programs`` (name to what `_summary`
      gives, "gan_jax" first) and ``unavailable`` (peer to the reason).

    Raises:
      UserError: the config asks for what cannot be.
      WorkerError: a program failed that should not.
    """
    config.check()
    return [_measure_loss(config, loss, say) for loss in config.losses]


def _measure_loss(config: Config, loss: str, say: Callable[[str], None]) -> Result:
    recipe = dataclasses.asdict(config.recipe(loss))
    peers = list(config.peers)
    unavailable = {}
    if peers and importlib.util.find_spec("torch") is None:
        unavailable = dict.fromkeys(peers, "PyTorch is not installed (extra: peers)")
        peers = []

    def spec(program: str) -> dict[str, Any]:
        return {
            "program": program,
            "recipe": recipe,
            "capacity": config.steps,
            "shared_device": bool(peers),
            **dataclasses.asdict(config),
        }

    say(f"{loss}: starting gan_jax")
    with contextlib.ExitStack() as stack:
        workers = {"gan_jax": Worker(spec("gan_jax"))}
        stack.callback(workers["gan_jax"].close)
        report = workers["gan_jax"].report
        if peers and report["platform"] != "cpu" and config.num_devices > 1:
            reason = "the PyTorch programs use one GPU"
            unavailable = dict.fromkeys(peers, reason)
            peers = []
        for peer in peers:
            say(f"{loss}: starting {worker.PEERS[peer]}")
            try:
                workers[peer] = Worker(spec(peer))
            except WorkerError as error:
                if peer != "compiled":
                    raise
                unavailable[peer] = error.args[0]
                continue
            stack.callback(workers[peer].close)
        rounds = list(_take_turns(config, workers))
        times = {name: [turn[name] for turn in rounds] for name in workers}
        for name, values in times.items():
            say(f"{loss}: {name} {statistics.median(values):.1f} ms a step")
        images = config.batch_size * recipe["critic_steps"]
        programs = {
            name: _summary(process, times[name], times["gan_jax"], images)
            for name, process in workers.items()
        }
    return {
        "loss": loss,
        "recipe": recipe,
        "programs": programs,
        "unavailable": unavailable,
    }


def _take_turns(
    config: Config, workers: dict[str, Worker]
) -> Iterator[dict[str, float]]:
    """Milliseconds a step of every program, round by round."""
    for process in workers.values():
        process.run(min(config.steps, 10))  # caches and clocks warm up
    for _ in range(config.rounds):
        yield {name: process.run(config.steps) for name, process in workers.items()}


def _summary(
    process: Worker, times: list[float], ours: list[float], images: int
) -> Result:
    """What there is to say about one program; ends it.

    Args:
      process: idle.
      times: its milliseconds a step, one number a round.
      ours: those of gan_jax in the same rounds.
      images: real examples that a step consumes.
    """
    start = process.report.pop("start")
    memory, device_memory = process.finish()
    ratios = [mine / its for mine, its in zip(ours, times, strict=True)]
    return {
        **process.report,
        "start_seconds": {**start, "total": sum(start.values())},
        "ms_a_step": spread(times),
        "images_per_second": 1e3 * images / statistics.median(times),
        "peak_memory_bytes": memory,
        "peak_device_memory_bytes": device_memory,
        "gan_jax_ratio": spread(ratios),
    }


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, smallest, largest, and all."""
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "rounds": list(values),
    }
