"""A connection to a Ray cluster, or to a Ray of this machine alone."""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

from gan_jax.errors import UserError


def require() -> Any:
    """Ray.

    Raises:
      UserError: it is not installed.
    """
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}
    if not sys.stdout.isatty():
        settings["RAY_COLOR_PREFIX"] = "0"
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise UserError(
            "--engine=ray needs Ray: pip install 'gan_jax[ray]', or use --engine=local"
        ) from error
    return ray


@contextlib.contextmanager
def local_nodes(count: int, **head: Any) -> Iterator[Any]:
    """A cluster of processes of this machine, as tests and measurements need it.

    Args:
      count: nodes of one core each.
      **head: what the head has, beside no core.

    Yields:
      Ray's own object of it, with ``address``, ``add_node`` and ``remove_node``.
    """
    require()
    from ray import cluster_utils

    settings = {"num_cpus": 0, "include_dashboard": False} | head
    there = cluster_utils.Cluster(initialize_head=True, head_node_args=settings)
    try:
        for _ in range(count):
            there.add_node(num_cpus=1)
        yield there
    finally:
        there.shutdown()


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """A connection to a cluster.

    Args:
      address: ``HOST:PORT`` of a cluster's head; 'auto', the cluster that this machine
        is of; None, a cluster of this machine alone, which ends with the connection.

    Raises:
      UserError: there is no such cluster, or Ray does not start.
    """
    ray = require()
    if address not in (None, "auto"):
        _knock(address)
    handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    alone: dict[str, Any] = {}
    if address is None:
        alone = {"include_dashboard": False}
        if os.environ.get("JAX_PLATFORMS") == "cpu":
            alone["num_gpus"] = 0
    try:
        ray.init(address or "local", logging_level="error", **alone)
    except Exception as error:  # of several kinds: RuntimeError, ConnectionError...
        raise _nobody(address, error) from error
    finally:
        for number, handler in handlers.items():  # Ray has put its own in their place
            signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Refuses an address where nobody answers: Ray would ask for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise UserError(f"--ray_address={address} is neither auto nor HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise _nobody(address, error) from error


def _nobody(address: str | None, error: Exception) -> UserError:
    why = " ".join(str(error).split())[:200]
    if address is None:
        return UserError(
            f"Ray does not start here ({why}): start again when this machine has less"
            " to do, or use --engine=local"
        )
    return UserError(
        f"no Ray cluster at --ray_address={address} ({why}): start one with"
        " `ray start --head`, or leave the flag out for this machine alone"
    )
