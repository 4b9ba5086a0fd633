"""Training processes to be watched, asked to end, or killed.

They are forked from a server that has imported what they need, and train small networks
on a few images: what is tested is the process. Nothing here ends a process that is
only slow.
"""

import atexit
import fcntl
import functools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import jax
import numpy as np

from gan_jax.run import checkpoints, sampling
from tests import small

# XLA's flags for processes that compute more than they compile.
FAST = os.environ.get("XLA_FLAGS", "").replace("level=0", "level=1")
ROOT = pathlib.Path(__file__).parents[2]


class Process:
    """What was started: a module's main program, in a process of its own."""

    def __init__(self, argv, *, small=True, hang=None, cwd=ROOT, **environment):
        self._folder = pathlib.Path(tempfile.mkdtemp(dir=_folder()))
        for name in ("stdout", "stderr"):
            (self._folder / name).touch()
        self._status = None
        cache = jax.config.jax_compilation_cache_dir
        env = {**os.environ, "JAX_COMPILATION_CACHE_DIR": cache, **environment}
        output = [str(self._folder / name) for name in ("stdout", "stderr")]
        self.pid = _ask(
            {
                "argv": [*map(str, argv)],
                "env": env,
                "cwd": str(cwd),
                "output": output,
                "small": small,
                "hang": hang,
            }
        )

    def send_signal(self, number):
        """Sends a signal; the process is one that nobody has waited for."""
        os.kill(self.pid, number)

    def poll(self):
        """The exit status, minus the number of a signal, or None while it runs."""
        if self._status is None:
            self._status = _ask({"poll": self.pid})
        return self._status

    def end(self):
        """Waits for the end, however long it takes: status, stdout, stderr."""
        if self._status is None:
            self._status = _ask({"wait": self.pid})
        for name in ("stdout", "stderr"):
            with open(self._folder / name) as file:  # processes of its own may write
                fcntl.flock(file, fcntl.LOCK_EX)
        return self._status, self.said("stdout"), self.said("stderr")

    def said(self, where):
        """What it has written until now to stdout or stderr."""
        return (self._folder / where).read_text()


def begin_study(cache, folder, *flags, **environment):
    """A study of small networks on two devices; ``cache`` has its classifier."""
    return Process(
        ["experiments.study", f"--workdir={folder}", *flags],
        XLA_FLAGS=FAST,
        GAN_JAX_CACHE_DIR=str(cache),
        JAX_NUM_CPU_DEVICES="2",
        **environment,
    )


@functools.cache
def _server():
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.processes.server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        # Started by whoever is to be interrupted, and not with them.
        start_new_session=True,
    )
    atexit.register(process.kill)
    return process


def _ask(request):
    server = _server()
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())


@functools.cache
def _folder():
    folder = tempfile.mkdtemp(prefix="gan_jax_tests_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return pathlib.Path(folder)


@functools.cache
def images():
    """A folder of 256 images and labels, for ``--dataset=npy``."""
    folder = _folder() / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    np.save(folder / "images.npy", rng.integers(0, 256, (256, 28, 28, 1), np.uint8))
    np.save(folder / "labels.npy", np.arange(256, dtype=np.int32) % 10)
    return folder


def data_flags():
    """Flags that name these images."""
    return ("--dataset=npy", f"--data_dir={images()}")


def start(folder, *flags, devices=1, hang=None):
    """Starts `experiments.train` on small networks, and images of noise."""
    argv = ["experiments.train", f"--workdir={folder}", *data_flags(), *flags]
    return Process(argv, hang=hang, JAX_NUM_CPU_DEVICES=str(devices))


def call(*groups, parse=False, **how):
    """Calls entry points, each group in a process: see `tests.processes.calls`."""
    how = {"small": False, **how}
    found, more = {}, ["--parse"] if parse else []
    argvs = [["tests.processes.calls", json.dumps(calls), *more] for calls in groups]
    for process in [Process(argv, **how) for argv in argvs]:
        status, stdout, stderr = process.end()
        assert status == 0, stderr
        found |= json.loads(stdout)
    return found


def selected(request, parameter):
    """What a parameter is in those of the tests to be run that use a fixture."""
    return {
        item.callspec.params[parameter]
        for item in request.session.items
        if request.fixturename in item.fixturenames
    }


def wait_until(happened, process):
    """Waits while a process runs; fails where it ends before."""
    while not happened():
        if process.poll() is not None and not happened():
            if isinstance(process, subprocess.Popen):
                raise AssertionError((process.returncode, *process.communicate()))
            raise AssertionError(process.end())
        time.sleep(0.005)


def listens(process):
    """Whether the process has taken over SIGTERM."""
    with open(f"/proc/{process.pid}/status") as file:
        caught = next(line for line in file if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def free_address():
    """Of this machine, for processes that join each other."""
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return f"localhost:{one.getsockname()[1]}"


def numbers(folder):
    """The newest state of such a run, on the host."""
    with small.installed():
        state = sampling.restore(folder)[1]
    return jax.device_get(state.replace(key=jax.random.key_data(state.key)))


def digest(folder):
    """Of the bytes of the newest state."""
    return checkpoints.digest(numbers(folder))


def lines_in(folder):
    """How many lines metrics.jsonl has."""
    log = folder / "metrics.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0
