"""An experiment whose second row holds for seeds from 1 on.

python -m tests.processes.one_row --seed=1
"""

from functools import partial

from experiments.common import cli, experiment
from gan_jax import plots
from gan_jax.theory import theory_table


def measure(seed, quick):
    figure, _ = plots.subplots(("nothing",))
    second = theory_table.at_least("the seed is not 0", 1, seed)
    return [theory_table.equal("the seed", seed, seed, 0), second], figure


main = partial(experiment.main, "one_row", measure)

if __name__ == "__main__":
    cli.run(main)
