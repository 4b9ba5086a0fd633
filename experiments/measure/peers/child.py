"""A program of `worker`, seen from its parent."""

import contextlib
import json
import math
import os
import subprocess
import sys
import time
from typing import Any

from experiments.measure.peers import worker
from gan_jax.errors import UserError


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
        # JAX would keep most of a GPU for itself, and others are to share it.
        environment.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
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
        reply = self._ask(steps)
        if not math.isfinite(reply["result"]):
            raise WorkerError(f"the loss became {reply['result']}")
        return 1e3 * reply["seconds"] / steps

    def rates(self) -> dict[str, float]:
        """What the program "machine" measures: ``flops`` and ``bytes`` a second.

        Raises:
          WorkerError: the process died.
        """
        return self._ask(1)["result"]

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

    def _ask(self, steps: int) -> dict[str, Any]:
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return self._receive()

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
