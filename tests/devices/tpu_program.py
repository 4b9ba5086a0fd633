"""Compiles the training loop for a TPU slice that is not there, and describes it.

    python -m tests.devices.tpu_program v5e:2x2 4 bfloat16

Prints JSON: kind of device, the all-reduces of the program with their names and groups,
bytes of its arguments and temporaries, and those that a step moves, of which padding.
"""

import json
import re
import sys

import jax
import jax.numpy as jnp

from experiments.common import described_devices, launches
from gan_jax import backend, recipes, training
from gan_jax.devices import parallel, placement

SIZE, SHAPE = 60_000, (28, 28, 1)


def main() -> None:
    """Takes the slice, the number of its devices to use, and the precision."""
    topology, number, precision = sys.argv[1:]
    described_devices.prepare("tpu")
    devices = described_devices.tpus(topology)[: int(number)]
    recipe = recipes.recipe("wasserstein_gp", "published", precision=precision)
    gan = recipes.make_gan(recipe, axis_name=placement.AXIS)
    alone = recipes.make_gan(recipe)
    state = jax.eval_shape(lambda: training.init_state(alone, jax.random.key(0), SHAPE))
    examples = training.Examples(jax.ShapeDtypeStruct((SIZE, *SHAPE), jnp.uint8))
    order = jax.ShapeDtypeStruct((SIZE,), jnp.int32)
    shards = jax.ShapeDtypeStruct((len(devices),), jnp.int32)
    with backend.tracing_for("tpu"):
        lowered = parallel.lower_train_steps(
            gan, state, examples, order, shards, devices, batch_size=64, capacity=50
        )
    program = lowered.compile()
    reductions = [
        {
            "name": re.search(r'op_name="([^"]*)"', line)[1],
            "groups": re.search(r"replica_groups=(\S*?),? ", line)[1],
        }
        for line in program.as_text().splitlines()
        if re.search(r" all-reduce(-start)?\(", line)
    ]
    memory = program.memory_analysis()
    moved = launches.of_loop(program.as_text())
    found = {
        "kind": devices[0].device_kind,
        "reductions": reductions,
        "argument_bytes": memory.argument_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
        "bytes": sum(launch.bytes * launch.times for launch in moved),
        "padding": sum(launch.padding * launch.times for launch in moved),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
