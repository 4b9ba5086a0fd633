"""A sweep: which GANs a study trains, as one line of text.

    generator_lr:1e-4..1e-3:log,penalty_weight:1|10,seed:0..15

A list (``1|10``), a range of whole numbers (``0..15``, both ends included) and a grid
(``1e-4..1e-3:log:4``) multiply: every combination is a GAN. From a range of real
numbers without a count (``1e-4..1e-3:log``, or ``:linear``) each GAN draws its own, as
in the random search of Lucic et al. 2018, https://arxiv.org/abs/1711.10337.
"""

import dataclasses
import hashlib
import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gan_jax import recipes
from gan_jax.errors import UserError, check_name
from gan_jax.recipes import Recipe

# What an optimiser, a penalty or an average multiplies with: one program for all.
REAL = (
    "penalty_weight",
    "clip",
    "generator_lr",
    "discriminator_lr",
    "beta1",
    "beta2",
    "ema_decay",
)
_WHOLE = (
    *("seed", "batch_size", "critic_steps", "latent_size", "width"),
    "ema_grows_from",
)
_WORDS = ("penalty", "optimiser", "precision", "network", "schedule", "augment")
_TRUTHS = ("spectral_norm", "mirror")
_SCALES = ("log", "linear")
_MOST = 100_000  # GANs of a study


class Range(NamedTuple):
    """An interval of real numbers, from which each GAN draws its own.

    Attributes:
      low: above 0 where ``log``.
      high: not less.
      log: whether the logarithm is uniform.
    """

    low: float
    high: float
    log: bool

    def at(self, share: float) -> float:
        """The number at a share in [0, 1] of the way."""
        if not self.log:
            return self.low + share * (self.high - self.low)
        return self.low * (self.high / self.low) ** share


Axis = tuple[Any, ...] | Range


@dataclasses.dataclass(frozen=True)
class Run:
    """One of the GANs.

    Attributes:
      recipe: its numbers.
      seed: of its weights, data order and latents.
      swept: the numbers that the sweep chose, without the seed.
      drawn: names of those among them that were drawn at random.
    """

    recipe: Recipe
    seed: int
    swept: dict[str, Any]
    drawn: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in a line: its loss, what the sweep chose, the seed."""
        return name_of(self.recipe.loss, {**self.swept, "seed": self.seed})

    def group(self) -> tuple[Any, ...]:
        """What it shares with the GANs that a table puts in its row."""
        named = self.swept.items()
        listed = tuple((name, v) for name, v in named if name not in self.drawn)
        return (self.recipe.loss, *listed)


def name_of(loss: str, values: Mapping[str, Any]) -> str:
    """A GAN in a few words: ``hinge generator_lr=0.001 seed=0``."""
    words = (f"{name}={short(value)}" for name, value in values.items())
    return " ".join((loss, *words))


def short(value: Any) -> str:
    """A value in six digits."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


class Program(NamedTuple):
    """GANs that one compiled program trains.

    Attributes:
      recipe: of the first; theirs differ from it in ``names`` alone.
      names: of `REAL`.
      runs: the GANs.
    """

    recipe: Recipe
    names: tuple[str, ...]
    runs: list[Run]

    def key(self) -> tuple[Recipe, tuple[str, ...]]:
        """The same for all that the same compiled program trains."""
        numbers = dict.fromkeys(self.names, 0.0)
        return dataclasses.replace(self.recipe, **numbers), self.names


def parse(text: str) -> dict[str, Axis]:
    """The axes of a sweep, by the name of the number.

    Raises:
      UserError: what is wrong with it, and how it is written.
    """
    axes: dict[str, Axis] = {}
    for item in _items(text):
        name, colon, values = item.partition(":")
        check_name("number of a sweep", name, (*_WHOLE, *REAL, *_WORDS, *_TRUTHS))
        if name in axes:
            raise UserError(f"--sweep names {name} twice: give all its values at once")
        if not colon or not values:
            raise _wrong(item, "has no values")
        axes[name] = _axis(name, item, values)
    return axes


def _items(text: str) -> list[str]:
    """The parts between commas; ``network:mine.py:Generator,Discriminator`` is one."""
    items: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        network = bool(items) and items[-1].startswith("network:")
        if network and not re.match(r"\w+:", part):
            items[-1] += f",{part}"
        else:
            items.append(part)
    return items


def _axis(name: str, item: str, values: str) -> Axis:
    if ".." not in values or name in _WORDS:  # ../mine.py is no range
        listed = tuple(_value(name, item, word) for word in values.split("|"))
        if len(set(listed)) < len(listed):
            raise _wrong(item, "has a value twice")
        return listed
    ends, *more = values.split(":")
    low, high = (_value(name, item, word) for word in _ends(item, ends))
    if low > high:
        raise _wrong(item, "goes down")
    if name in _WHOLE:
        if more:
            raise _wrong(item, "is of whole numbers, which have no scale")
        if high - low >= _MOST:
            raise _wrong(item, f"has more than {_MOST} values")
        return tuple(range(low, high + 1))
    if name not in REAL or not more or more[0] not in _SCALES or len(more) > 2:
        raise _wrong(item, "is no range of real numbers")
    interval = Range(low, high, more[0] == "log")
    if interval.log and low <= 0:
        raise _wrong(item, "has no logarithm at its lower end")
    if len(more) == 1:
        return interval
    if not more[1].isdecimal() or not 2 <= int(more[1]) <= _MOST:
        raise _wrong(item, "must end in how many values, at least 2")
    return tuple(interval.at(share) for share in np.linspace(0, 1, int(more[1])))


def _ends(item: str, ends: str) -> tuple[str, str]:
    low, _, high = ends.partition("..")
    if not low or not high or ".." in high:
        raise _wrong(item, "is no range")
    return low, high


def _value(name: str, item: str, word: str) -> Any:
    if name in _WORDS:
        return word  # `recipes.recipe` knows them
    if name in _TRUTHS:
        if word not in ("true", "false"):
            raise _wrong(item, f"has {word!r}, which is neither true nor false")
        return word == "true"
    try:
        value = int(word) if name in _WHOLE else float(word)
    except ValueError:
        kind = "whole number" if name in _WHOLE else "number"
        raise _wrong(item, f"has {word!r}, which is no {kind}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise _wrong(item, f"has {word!r}, which is not finite")
    if name == "seed" and not 0 <= value < 2**32:
        raise _wrong(item, "has a seed outside of 0 ... 2^32 - 1")
    return value


def _wrong(item: str, why: str) -> UserError:
    return UserError(
        f"--sweep: {item!r} {why}: write name:1|10, name:1e-4..1e-3:log (drawn for"
        " each GAN), name:1e-4..1e-3:log:4 (a grid) or seed:0..15"
    )


def intervals(axes: dict[str, Axis]) -> dict[str, Range]:
    """Those axes from which each GAN draws its own number."""
    return {name: axis for name, axis in axes.items() if isinstance(axis, Range)}


def expand(
    losses: Sequence[str],
    table: str,
    axes: dict[str, Axis],
    *,
    conditional: bool = False,
    draw_seed: int = 0,
) -> list[Run]:
    """The GANs of a sweep, loss by loss, seeds last.

    What a GAN draws depends on its place in the sweep, not on the GANs beside it or on
    its loss: a sweep with more seeds holds the GANs of the one with fewer.

    Args:
      losses: names.
      table: of recipes, as in `recipes.recipe`.
      axes: as `parse` gives them; ``seed`` is 0 where it is not among them.
      conditional: whether the networks see labels.
      draw_seed: of what is drawn.

    Raises:
      UserError: numbers that a recipe refuses, or too many GANs.
    """
    lists = {name: axis for name, axis in axes.items() if not isinstance(axis, Range)}
    seeds = lists.pop("seed", (0,))
    drawn = intervals(axes)
    count = math.prod(map(len, lists.values())) * len(seeds) * len(losses)
    if count > _MOST:
        raise UserError(f"--sweep makes {count} GANs: at most {_MOST}")
    runs = []
    for loss in losses:
        for values in itertools.product(*lists.values(), seeds):
            chosen = dict(zip((*lists, "seed"), values, strict=True))
            for name, share in _draws(drawn, chosen, draw_seed).items():
                chosen[name] = drawn[name].at(share)
            seed = chosen.pop("seed")
            try:
                recipe = recipes.recipe(loss, table, conditional=conditional, **chosen)
            except UserError as error:
                values = ", ".join(f"{name}:{value}" for name, value in chosen.items())
                where = f"loss {loss} with {values}" if values else f"loss {loss}"
                raise UserError(f"{where}: {error}") from error
            runs.append(Run(recipe, seed, chosen, tuple(drawn)))
    return runs


def _draws(
    intervals: dict[str, Range], place: dict[str, Any], seed: int
) -> dict[str, float]:
    """A share in [0, 1) for each interval: the same wherever the place is the same."""
    found = {}
    for name in intervals:
        text = json.dumps([seed, name, sorted(place.items())])
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
        found[name] = number / 2**64
    return found


def programs(runs: Sequence[Run], varying: Sequence[str] = ()) -> list[Program]:
    """Puts together what one program can train: equal but for real numbers and seeds.

    A number that is the same for all stays a constant of the program, unless it is
    among those that others will come to have otherwise.
    """
    groups: dict[Recipe, list[Run]] = {}
    for run in runs:
        numbers = {name: 0.0 for name in REAL if getattr(run.recipe, name) is not None}
        groups.setdefault(dataclasses.replace(run.recipe, **numbers), []).append(run)
    found = []
    for members in groups.values():
        names = tuple(
            name
            for name in REAL
            if name in varying or len({getattr(r.recipe, name) for r in members}) > 1
        )
        found.append(Program(members[0].recipe, names, members))
    return found
