"""One of two processes that send each other what is hard to send, and then fail.

python -m tests.processes.talking localhost:12345 0
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import cli
from gan_jax.devices import processes


def main():
    """Prints what the first has sent; then the first meets an error."""
    coordinator, number = sys.argv[1], int(sys.argv[2])
    processes.connect(coordinator, 2, number)
    mine = {
        "odd": np.array([-0.0, 1e-40, 1.5], np.float32) * (1 - number),
        "none": np.array(number == 0),
        "key": jax.random.key(7 + number),
        "step": jnp.int32(3 + number),
    }
    sent = processes.from_first(mine)
    print(np.asarray(sent["odd"]).tobytes().hex(), np.signbit(sent["odd"])[0])
    print(bool(sent["none"]), jax.random.key_data(sent["key"]), int(sent["step"]))
    print(processes.Agreement(jax.devices()).ask(True, 0.0), flush=True)
    if number == 0:
        raise KeyError("nobody expects this")
    processes.from_first(mine)


if __name__ == "__main__":
    cli.guarded(main, [])
