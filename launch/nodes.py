"""Waits until a Ray has all its nodes, and runs the program that uses them.

    python nodes.py HOST:PORT SECONDS NODE... -- -m MODULE [flags]

The nodes are addresses or host names. Those that do not come are named on one line,
with status 1. The program runs in this process: signals and status are its own.
"""

import logging
import os
import runpy
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

import ray


def missing(expected: Iterable[str], there: Iterable[Mapping[str, Any]]) -> list[str]:
    """Those of the expected nodes that are not among Ray's.

    Args:
      expected: an address or a host name of each.
      there: what `ray.nodes` says of each that is alive.
    """
    left = [*expected]
    for node in there:
        host = node["NodeManagerHostname"]
        names = {node["NodeManagerAddress"], host, host.partition(".")[0]}
        found = next((name for name in left if name in names), None)
        if found is not None:
            left.remove(found)
    return left


def absent(address: str, seconds: float, expected: list[str]) -> str:
    """Waits until as many nodes are alive as are expected; says which are not.

    Args:
      address: of Ray's head, HOST:PORT.
      seconds: how long it waits.
      expected: an address or a host name of each node.

    Returns:
      a sentence, or nothing when all are there.
    """
    ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Ray made it an exit with status 15
    deadline = time.monotonic() + seconds
    while True:
        there = [node for node in ray.nodes() if node["Alive"]]
        late = time.monotonic() > deadline
        if len(there) >= len(expected) or late:
            break
        time.sleep(1)
    ray.shutdown()
    if len(there) >= len(expected):
        return ""
    names = ", ".join(missing(expected, there))
    return f"{len(there)} of {len(expected)} nodes are there, and not {names}"


def main() -> None:
    """Waits, runs the program, and looks whether all nodes are still there."""
    end = sys.argv.index("--")
    address, seconds, *nodes = sys.argv[1:end]
    if said := absent(address, float(seconds), nodes):
        sys.exit(f"ray.sh: after {seconds} s {said}")
    print(f"ray.sh: {len(nodes)} nodes are there", file=sys.stderr, flush=True)
    _, module, *flags = sys.argv[end + 1 :]
    sys.argv[:] = [module, *flags]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as status:
        if status.code:
            raise
    # SkyPilot would wait for a node that is gone, unless another one fails.
    if os.environ.get("SKYPILOT_NODE_IPS") and (said := absent(address, 0, nodes)):
        sys.exit(f"ray.sh: done; at the end {said}: status 1, which ends the job")


if __name__ == "__main__":
    main()
