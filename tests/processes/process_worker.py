"""One of two processes: twenty steps in float64, on two devices of its own.

    python -m tests.processes.process_worker localhost:12345 0 out.npz

The first writes what both end with.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.devices import placement, processes
from tests.devices.test_parallel import make_gan, run

LOSSES = ("wasserstein_gp",)  # its generator has batch norm


def train(loss):
    """The numbers of both networks after some steps on all devices, in a list."""
    with jax.enable_x64(True):
        gan, images = make_gan(loss, "small")
        state, _ = run(gan, images, jax.devices(), dtype=jnp.float64)
        players = (state.generator, state.discriminator)
        trees = [(player.params, player.batch_stats) for player in players]
        return [np.asarray(leaf) for leaf in jax.tree.leaves(placement.local(trees))]


if __name__ == "__main__":
    coordinator, process_id, path = sys.argv[1:]
    processes.connect(coordinator, 2, int(process_id))
    assert len(jax.devices()) == 4
    results = {loss: train(loss) for loss in LOSSES}
    if processes.is_first():
        np.savez(
            path,
            **{f"{k}_{i}": a for k, v in results.items() for i, a in enumerate(v)},
        )
