"""Compiles the training loop for a TPU slice that is not there, and describes it.

    python -m tests.devices.tpu_program v5e:2x2 4 bfloat16

Prints JSON: kind of device, the all-reduces of the program with their names and groups,
bytes of its arguments and temporaries, and those that a step moves, of which padding.
"""

import json
import re
import sys

from experiments.common import described_devices, launches
from gan_jax import recipes


def main() -> None:
    """Takes the slice, the number of its devices to use, and the precision."""
    topology, number, precision = sys.argv[1:]
    described_devices.prepare("tpu")
    devices = described_devices.tpus(topology)[: int(number)]
    recipe = recipes.recipe("wasserstein_gp", "published", precision=precision)
    program = described_devices.compile_loop(recipe, (28, 28, 1), devices)
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
