"""Waves of GANs: those that are trained together, as many as fit on the devices."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gan_jax import recipes, training
from gan_jax.data import Description
from gan_jax.run import configuration
from gan_jax.study.sweep import Program, Run


def usual_at_once(device: str) -> int:
    """GANs side by side on a device of some kind, as JAX names it.

    One fills the cores of a CPU; a GPU takes ten times as long for a step of 32.
    """
    return 1 if device == "cpu" else 32


@dataclasses.dataclass(frozen=True)
class Plan:
    """How GANs are trained, beside what each of them is.

    Attributes:
      images: what there is to know of the data set.
      epochs: passes over the data of each.
      steps: generator steps of each instead, or None.
      num_devices: that a wave is trained on.
      at_once: GANs side by side on each device.
      checkpoint_every: generator steps between checkpoints of a wave.
    """

    images: Description
    epochs: int
    steps: int | None
    num_devices: int
    at_once: int
    checkpoint_every: int

    @property
    def width(self) -> int:
        """GANs that are trained together."""
        return self.num_devices * self.at_once

    def fit(self, gans: int) -> "Plan":
        """The same without devices and places that so few GANs would leave empty."""
        devices = min(self.num_devices, gans)
        at_once = min(self.at_once, -(-gans // devices))
        return dataclasses.replace(self, num_devices=devices, at_once=at_once)

    def config(self, run: Run) -> configuration.Config:
        """The same GAN as `experiments.train` trains it alone."""
        steps = self.steps_of(run.recipe)
        return configuration.Config.of(run.recipe, self.images, run.seed, steps)

    def steps_of(self, recipe: recipes.Recipe) -> int:
        """Generator steps in all.

        Raises:
          UserError: the data set is too small for one.
        """
        size = self.images.size
        per_epoch = training.steps_per_epoch(recipe, size, recipe.batch_size)
        return self.steps or self.epochs * per_epoch


class Wave(NamedTuple):
    """GANs that are trained together.

    Attributes:
      program: its runs are the GANs; its recipe and names are those of the program that
        they share with other waves.
      plan: how to train, fitted to that program.
      begin: generator steps that they have been trained for; 0 of new ones.
      end: generator steps that they are trained for in all.
      sources: code of one's own that they are made of: places and their SHA-256.
    """

    program: Program
    plan: Plan
    begin: int
    end: int
    sources: dict[str, str]

    @property
    def runs(self) -> list[Run]:
        """The GANs."""
        return self.program.runs

    @property
    def name(self) -> str:
        """What its log lines are called by."""
        rest = len(self.runs) - 1
        return self.runs[0].name + (f" and {rest} more" if rest else "")

    @property
    def total(self) -> int:
        """Generator steps of each of them, were it trained to its end."""
        return self.plan.steps_of(self.program.recipe)

    def about(self) -> dict[str, Any]:
        """What its states are of: they go on as nothing else."""
        flags = [self.plan.config(run).flags() for run in self.runs]
        layout = [self.plan.num_devices, self.plan.at_once]
        return {"runs": flags, "layout": layout, "names": list(self.program.names)}


def pack(
    program: Program,
    plan: Plan,
    runs: Sequence[Run],
    *,
    begin: int,
    end: int,
) -> Iterator[Wave]:
    """Waves of some of a program's GANs, each as full as can be.

    Args:
      program: theirs.
      plan: how to train, which says how wide a wave is.
      runs: those that are to be trained.
      begin: as in `Wave`.
      end: as in `Wave`.

    Raises:
      UserError: as `recipes.sources`.
    """
    sources = recipes.sources(program.recipe)
    for first in range(0, len(runs), plan.width):
        members = [*runs[first : first + plan.width]]
        yield Wave(program._replace(runs=members), plan, begin, end, sources)
