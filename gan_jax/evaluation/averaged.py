"""Averages of many lengths of a generator's weights, kept and measured in training."""

import json
import pathlib
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.errors import UserError
from gan_jax.system import files
from gan_jax.training import GAN, GANState, averages, weights

LAST, RECIPE = "last", "recipe"  # weights of the last step; the state's own average
FILE = "averages.npz"

Values = dict[str, Any]


class Averaged:
    """An ``evaluate`` of `loop.train` that keeps averages, and measures them at times.

    Averages are of the state's own short one, where it has one, so that weights between
    two calls count as well.

    Attributes:
      measured: by the step, and then by the name of an average: `LAST`, `RECIPE` where
        the state has one, and the lengths.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        lengths: Sequence[float],
        at: Collection[int],
        measure: Callable[[GAN, GANState, str], Values],
        *,
        every: int,
        save_every: int,
        measured_with: Values | None = None,
    ) -> None:
        """Takes up what is saved.

        Args:
          folder: of the run; holds averages.npz.
          lengths: of the averages, as in `averages.exponent`.
          at: steps to measure after.
          measure: of a state whose samples are those of an average, and of its name.
          every: steps between two calls, ``Schedule.evaluate_every``.
          save_every: steps between two writings; with a schedule that saves the run as
            often, this file is never behind it.
          measured_with: JSON values that tell these measures from others, as the number
            of samples; kept in the file. None takes what the file has.

        Raises:
          UserError: a length that no average has; the file is damaged or of others, or
            what it holds was measured with something else.
        """
        self.measured: dict[int, dict[str, Values]] = {}
        self._path, self._at, self._measure = folder / FILE, frozenset(at), measure
        self._every, self._save_every = every, save_every
        self._lengths, self._measured_with = list(lengths), measured_with or {}
        self._gammas = np.array([averages.exponent(length) for length in lengths])
        self._step, self._leaves = 0, None
        self._update = jax.jit(averages.update)
        if self._path.exists():
            self._read()

    def __call__(self, gan: GAN, state: GANState) -> dict[str, float]:
        """Takes the state after some more steps; returns nothing for the metrics.

        Raises:
          UserError: steps are missing in the averages, or a step is to be measured that
            they have passed; the file cannot be written.
        """
        step = int(state.step)
        now, tree = jax.tree.flatten(tuple(weights(state)))
        if step > self._step:  # else a run that is repeated from its last checkpoint
            if step - self._step > self._every:
                raise UserError(
                    f"{self._path} ends at step {self._step}, and the run goes on"
                    f" before step {step}: delete {self._path.parent} to train it anew"
                )
            shares = averages.new_shares(self._gammas, self._step, step)
            if self._leaves is None:
                count = len(self._lengths)
                self._leaves = [jnp.zeros((count, *leaf.shape)) for leaf in now]
            self._leaves = self._update(self._leaves, now, shares)
            self._step = step
        due = step in self._at and step not in self.measured
        if due and step < self._step:
            raise UserError(
                f"{self._path} is at step {self._step}, and holds no averages of step"
                f" {step}: leave step {step} out, or delete {self._path.parent} to"
                " train it anew"
            )
        if due:
            found = {LAST: state.replace(ema=None)}
            if state.ema is not None:
                found[RECIPE] = state
            for i, length in enumerate(self._lengths):
                average = jax.tree.unflatten(tree, [leaf[i] for leaf in self._leaves])
                found[f"{length:g}"] = state.replace(ema=average)
            self.measured[step] = {
                name: self._measure(gan, each, name) for name, each in found.items()
            }
        if due or step % self._save_every == 0:
            self.save()
        return {}

    def save(self) -> None:
        """Writes the averages and what was measured, as one file.

        Raises:
          UserError: the disk does not take it.
        """
        about = {
            "step": self._step,
            "lengths": self._lengths,
            "measured": self.measured,
            "measured_with": self._measured_with,
        }
        arrays = {f"{i:04d}": leaf for i, leaf in enumerate(self._leaves or ())}
        with files.whole_file(self._path) as file:
            np.savez(file, about=np.array(json.dumps(about)), **arrays)

    def _read(self) -> None:
        try:
            arrays = files.read_npz(self._path)
            about = json.loads(str(arrays.pop("about")))
            lengths, measured = about["lengths"], about["measured"]
            before = dict(about.get("measured_with") or {})  # older files have none
            self._step = int(about["step"])
            self.measured = {int(step): rows for step, rows in measured.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{self._path} is damaged ({' '.join(str(error).split())[-100:]}):"
                f" delete {self._path.parent} to train it anew"
            ) from error
        if lengths != self._lengths:
            raise UserError(
                f"{self._path} holds averages of the lengths {lengths}, not"
                f" {self._lengths}: use another folder"
            )
        now = self._measured_with = self._measured_with or before
        for name in now if before else ():
            if now[name] != before.get(name):
                raise UserError(
                    f"{self._path} was measured with {name}={before.get(name)}, not"
                    f" {now[name]}: go on with that, or use another folder"
                )
        if self._step:
            self._leaves = [jnp.asarray(arrays[name]) for name in sorted(arrays)]
