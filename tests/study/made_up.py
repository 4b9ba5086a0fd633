"""Studies that nobody trained: rows of a sweep, with distances from a formula."""

import math

import numpy as np

from gan_jax.run import configuration
from gan_jax.study import ledger, sweep

STEPS = 900


def study(axes, losses=("hinge",), halved=False):
    """The GANs of a sweep, the numbers they draw, and rows as a study leaves them.

    Args:
      axes: as --sweep has them.
      losses: names.
      halved: whether all but the best ninth were stopped, most of them soon.
    """
    parsed = sweep.parse(axes)
    runs = sweep.expand(losses, "tuned", parsed)
    drawn = sweep.intervals(parsed)
    random = np.random.default_rng(0)
    rows = [_row(run, random) for run in runs]
    if halved:
        key = {id(row): row["fcd_train"] or math.inf for row in rows}
        order = sorted(rows, key=lambda row: key[id(row)])
        for share, steps in ((9, STEPS // 3), (3, STEPS // 9)):
            for row in order[len(rows) // share :]:
                row["steps"] = steps
                for name in ("fcd", "fcd_train"):
                    row[name] = row[name] and 1.3 * row[name]
    return runs, drawn, rows


def _row(run, random):
    recipe = run.recipe
    off = math.log10(recipe.generator_lr / 1e-3), math.log10(recipe.discriminator_lr)
    distance = 50 + 80 * off[0] ** 2 + 15 * (off[1] + 3.3) ** 2
    distance *= math.exp(0.2 * random.normal())
    collapsed = random.random() < 0.02 + 0.1 * abs(off[0])
    distance *= 3 if collapsed else 1
    lost = random.random() < 0.01
    measures = {
        "fcd": None if lost else distance,
        "fcd_train": None if lost else distance * math.exp(0.02 * random.normal()),
        "classes": None if lost else 3 if collapsed else 10,
        "variety": None if lost else 0.05 if collapsed else 0.4,
        "collapsed": bool(lost or collapsed),
    }
    config = configuration.Config(recipe, "garments", run.seed, STEPS)
    return ledger.row(run, config, 1.0, measures, STEPS)
