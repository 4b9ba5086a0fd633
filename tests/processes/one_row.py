"""An experiment whose second row holds for seeds from 1 on."""

from functools import partial

from experiments.common import experiment
from gan_jax import plots
from gan_jax.theory import theory_table


def measure(seed, quick):
    figure, _ = plots.subplots(("nothing",))
    second = theory_table.at_least("the seed is not 0", 1, seed)
    return [theory_table.equal("the seed", seed, seed, 0), second], figure


main = partial(experiment.main, "one_row", measure)
