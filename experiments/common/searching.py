"""A search among GANs in a folder, for programs that look into its rows."""

import pathlib
from collections.abc import Sequence
from typing import Any

from experiments.common import cli
from gan_jax.errors import UserError
from gan_jax.evaluation.features import distance_in
from gan_jax.study import driver, engines, ledger, sweep, waves
from gan_jax.study.halving import Halving
from gan_jax.study.sweep import Run


def axes_without_seeds(text: str) -> dict[str, sweep.Axis]:
    """The axes of a --sweep in which each setting has a seed of its own.

    Raises:
      UserError: it is none, or names seeds.
    """
    axes = sweep.parse(text)
    if "seed" in axes:
        raise UserError("--sweep: --seed and --settings say which seeds there are")
    return axes


def _nothing(row: ledger.Row, samples: Any) -> None:
    """All is in the ledger."""


def search(
    subject: engines.Subject,
    plan: waves.Plan,
    runs: Sequence[Run],
    rungs: Halving,
    folder: pathlib.Path,
    keep: driver.Keep = _nothing,
) -> list[ledger.Row] | None:
    """Trains and measures GANs on this machine, or goes on with it.

    Args:
      subject: what to train on and to measure by.
      plan: how GANs are trained.
      runs: the GANs.
      rungs: when they are measured, and how many go on.
      folder: holds the rows and what is under way.
      keep: is given each new row, and the first of the GAN's samples.

    Returns:
      A row of each, in their order; None where a signal has come.

    Raises:
      UserError: as `driver.Driver`.
    """
    engine = engines.Local(subject, cli.signals.should_stop, say=lambda line: None)
    engine.save_in(folder)
    course = driver.Driver(engine, plan, folder, keep, rungs)
    if not course.train(runs):
        return None
    return [course.rows[course.key(run)] for run in runs]


def distances(row: ledger.Row) -> dict[int, float | None]:
    """The distance to the training split at each rung, by the steps."""
    return {past["steps"]: past[f"{distance_in(past)}_train"] for past in row["rungs"]}
