"""Training processes to be watched, asked to end, or killed."""

import os
import signal
import subprocess
import sys
import time

import jax

# The real images are read in less time than garments are drawn in.
DATASET = "fashion_mnist" if os.environ.get("GAN_JAX_DATA_DIR") else "garments"


def start(folder, *flags, devices=1):
    """Starts `experiments.train`; its output is text, by pipes."""
    environment = {
        **os.environ,
        "JAX_NUM_CPU_DEVICES": str(devices),
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
    }
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "experiments.train", f"--workdir={folder}"),
            *(f"--dataset={DATASET}", *flags),
        ],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(happened, process, patience=120):
    """Waits while a process runs; fails where it ends before."""
    started = time.monotonic()
    while not happened():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() - started < patience
        time.sleep(0.005)


def listens(process):
    """Whether the process has taken over SIGTERM."""
    with open(f"/proc/{process.pid}/status") as file:
        caught = next(line for line in file if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def lines_in(folder):
    """How many lines metrics.jsonl has."""
    log = folder / "metrics.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def end(process, patience=120):
    """Waits for the end: status, seconds that it took, stdout, stderr."""
    started = time.monotonic()
    stdout, stderr = process.communicate(timeout=patience)
    return process.returncode, time.monotonic() - started, stdout, stderr
