"""Second-order optimisation without a matrix, beside Adam and SGD with momentum.

    python -m experiments.theory.hessian_free

The classifier that samples are measured with, on a part of its data: Hessian-free
steps, Adam and momentum alternating, with as many gradient evaluations each. With the
Hessian itself in place of the Gauss-Newton matrix the search meets negative curvature
(docs/hessian_free.md).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.common import cli, data_flags, experiment, results, tables
from experiments.common.optimiser_race import (
    BATCH,
    COLUMNS,
    FIRST_ORDER,
    NEWTON,
    Courses,
    Problem,
    race,
)
from gan_jax import data, plots
from gan_jax.errors import UserError
from gan_jax.theory import theory_table
from gan_jax.training import scale_images

flags.adopt_module_key_flags(experiment)
flags.adopt_module_key_flags(data_flags)

_NUM_EXAMPLES = flags.DEFINE_integer("num_examples", 500, "Images to train on.")
_STEPS = flags.DEFINE_integer("newton_steps", 30, "Hessian-free steps.")


def measure(seed: int, quick: bool) -> experiment.Findings:
    """Lets the optimisers race."""
    cli.require_positive(_STEPS)
    data_flags.check()
    if _NUM_EXAMPLES.value < BATCH:
        raise UserError(
            f"--num_examples={_NUM_EXAMPLES.value} must be at least {BATCH}, a batch"
        )
    split = data.load(
        cli.unless_quick(data_flags.DATASET, "garments", quick),
        num_examples=cli.unless_quick(_NUM_EXAMPLES, 100, quick),
        **data_flags.where(),
    )
    if split.num_classes < 2:
        raise UserError(f"{split.name} has no classes to tell apart: name another set")
    warned = results.warn(split.warning)
    titles = ("loss by steps", "loss by gradient evaluations", "loss by seconds")
    titles += ("damping", "actual / predicted decrease", "least curvature met")
    figure, axes = plots.subplots(titles, columns=3)
    images = scale_images(jnp.asarray(split.images))
    problem = Problem(images, jnp.asarray(split.labels))
    steps = cli.unless_quick(_STEPS, 4, quick)
    courses, searches = race(problem, jax.random.key(seed), steps)
    _draw(axes, courses, searches)
    rows = [
        [name, *(f"{value:.4g}" for value in course[-1])]
        for name, course in courses.items()
    ]
    details = {
        "dataset": split.name,
        **warned,
        "num_examples": len(split.images),
        "columns": COLUMNS,
        "courses": courses,
        "searches": {name: _plain(states) for name, states in searches.items()},
    }
    about = f"{split.name}, {len(split.images)} images"
    table = f"{about}\n{tables.as_text(('optimiser', *COLUMNS), rows)}"
    found = _rows(courses, searches, quick)
    return experiment.Findings(found, figure, [table], details)


def _rows(
    courses: Courses, searches: dict[str, list[Any]], quick: bool
) -> list[theory_table.Row]:
    """What held on the way."""
    newton = courses["Gauss-Newton"]
    steps, _, _, end = newton[-1]
    # Of the others, the first loss that is recorded at as many steps or more.
    after_as_many = [
        next(row[3] for row in courses[name] if row[0] >= steps) for name in FIRST_ORDER
    ]
    of_all = [
        courses[name][-1][3] for name, (_, batch) in FIRST_ORDER.items() if not batch
    ]
    least, indefinite = (
        min(state.least_curvature for state in searches[name]) for name in NEWTON
    )
    ended = {name: sum(s.negative for s in states) for name, states in searches.items()}
    found = [
        theory_table.at_least("Gauss-Newton: least curvature met", -1e-3, least),
        theory_table.equal(
            "Gauss-Newton: searches ended by negative curvature",
            0,
            ended["Gauss-Newton"],
            0,
        ),
        theory_table.at_most(
            "Gauss-Newton: loss in the end over that at the start",
            0.5 if quick else 1e-4,
            end / newton[0][3],
        ),
        theory_table.at_most("Hessian: least curvature met", 0, indefinite),
        theory_table.at_least(
            "Hessian: searches ended by negative curvature", 1, ended["Hessian"]
        ),
    ]
    if quick:  # two steps tell nothing of the losses
        return found
    what = "Gauss-Newton: loss over the best other's, as many "
    on_all = what + "evaluations, all images at once"
    return [
        *found,
        theory_table.at_most(what + "steps", 0.01, end / min(after_as_many)),
        theory_table.at_most(on_all, 0.1, end / min(of_all)),
    ]


def _plain(states: list[Any]) -> list[dict[str, float]]:
    """States of the optimiser as JSON can hold them."""
    return [
        {
            name: value.item()
            for name, value in state._asdict().items()
            if value is not None
        }
        for state in states
    ]


def _draw(axes: Any, courses: Courses, searches: dict[str, list[Any]]) -> None:
    for name, course in courses.items():
        columns = np.array(course).T
        for panel, x in zip(axes, columns[:3], strict=False):
            label = name if panel is axes[0] else None
            panel.plot(x, columns[3], ".-", ms=3, lw=1, label=label)
            panel.set(yscale="log")
    axes[0].set(xlim=(0, 3 * courses["Gauss-Newton"][-1][0]))
    for i, (name, states) in enumerate(searches.items()):
        axes[3].semilogy([state.damping for state in states], f"C{i}.-", label=name)
        axes[4].plot([state.ratio for state in states], f"C{i}.-")
        axes[5].plot([state.least_curvature for state in states], f"C{i}.-")
        axes[5].plot(
            [k for k, s in enumerate(states) if s.negative],
            [s.least_curvature for s in states if s.negative],
            f"C{i}x",
        )
    for panel in axes[3:]:
        panel.set(xlabel="Hessian-free step")
    for limit in (1 / 4, 3 / 4):  # between them the damping stays
        axes[4].axhline(limit, **plots.THEORY)
    axes[5].axhline(0, **plots.THEORY)
    axes[5].set_yscale("symlog", linthresh=1e-2)


main = partial(experiment.main, "hessian_free", measure)

if __name__ == "__main__":
    cli.run(main)
