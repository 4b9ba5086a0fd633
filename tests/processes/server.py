"""Forks processes that have imported JAX already, so that each starts at once.

    python -m tests.processes.server     # requests and replies are lines of JSON

``{"argv": [module, ...], "env": {}, "cwd": "", "output": [path, path], "small": true,
"hang": null}`` starts ``python -m module ...`` and replies with its number;
``{"poll": number}`` and ``{"wait": number}`` reply with its exit status, or null. A
process that was forked is one like any other: it has its own signals, its own JAX and
its own end. ``hang`` names a function that it is to call and never to come back from.
"""

import fcntl
import importlib
import json
import os
import runpy
import sys

# What takes long to import, and nothing that defines flags or starts JAX.
import absl.app
import flax.linen
import grain.python
import jax
import matplotlib.pyplot
import optax
import orbax.checkpoint
import tensorboardX

import gan_jax.devices.processes
import gan_jax.evaluation.comparison
import gan_jax.run.loop
import gan_jax.run.sampling
import gan_jax.study.populations
from tests import small

_PRELOADED = (
    *(absl.app, flax.linen, grain.python, matplotlib.pyplot, optax, orbax.checkpoint),
    *(tensorboardX, gan_jax.run.loop, gan_jax.devices.processes, gan_jax.run.sampling),
    *(gan_jax.evaluation.comparison, gan_jax.study.populations),
)
# Settings that JAX has read from the environment when it was imported.
_OF_JAX = {
    "JAX_NUM_CPU_DEVICES": int,
    "JAX_PLATFORMS": str,
    "JAX_COMPILATION_CACHE_DIR": str,
}


def hang(function):
    """Replaces a function by one that says so on stdout and runs for ever, compiled."""

    def run(*args, **kwargs):
        print("hangs", flush=True)
        for_ever = jax.jit(lambda x: jax.lax.while_loop(lambda x: x >= 0, abs, x))
        for_ever(0.0).block_until_ready()

    module, _, name = function.rpartition(".")
    setattr(importlib.import_module(module), name, run)


def serve():
    """Answers until it is in a process that was forked: returns what that is to do."""
    for line in sys.stdin:
        request = json.loads(line)
        if "argv" in request:
            number = os.fork()
            if number == 0:
                return request
            reply = number
        else:
            [(how, number)] = request.items()
            found, status = os.waitpid(number, os.WNOHANG if how == "poll" else 0)
            reply = os.waitstatus_to_exitcode(status) if found else None
        print(json.dumps(reply), flush=True)
    return None


def become(request):
    """Turns the forked process into the one that was asked for, up to its start."""
    places = [os.devnull, *request["output"]]
    for descriptor, place in enumerate(places):
        file = os.open(place, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        fcntl.flock(file, fcntl.LOCK_SH)  # held until the last writer has closed it
        os.dup2(file, descriptor)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    for name, kind in _OF_JAX.items():
        if value := request["env"].get(name):
            jax.config.update(name.lower(), kind(value))
    # Who dies is noticed sooner. A thread of its own sends heartbeats, however busy all
    # the others are.
    gan_jax.devices.processes._HEARTBEAT = 10
    if request["small"]:
        small.install()
    if request["hang"]:
        hang(request["hang"])
    sys.argv = request["argv"]


if __name__ == "__main__":
    if request := serve():
        become(request)
        runpy.run_module(request["argv"][0], run_name="__main__", alter_sys=True)
