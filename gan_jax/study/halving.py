"""Successive halving: GANs are trained to a rung, measured, and the best go on.

Every rung multiplies the steps by a factor and divides the number of configurations by
it, so that each costs about as much as the others, or by less, which costs more and is
less often wrong. A configuration is what the sweep chose without the seed: all of its
seeds go on, or none.

The rungs are those of Jamieson & Talwalkar 2016, https://arxiv.org/abs/1502.07943,
algorithm 1: a rung waits for all of its GANs. ASHA (Li et al. 2020,
https://arxiv.org/abs/1810.05934, algorithm 2) does not, and then what goes on depends
on which machine is faster: the same study would give another table the second time.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gan_jax.errors import UserError


class Halving(NamedTuple):
    """How often it is decided who goes on, and how many do.

    Attributes:
      factor: of the steps of a rung to those of the one before; at least 2.
      rungs: at which GANs are measured, the end of training included; 1 stops none.
      keep: one of so many goes on; at least 2, by default ``factor``.
    """

    factor: int = 3
    rungs: int = 1
    keep: int | None = None

    @property
    def divisor(self) -> int:
        """One of so many goes on."""
        return self.keep or self.factor

    @property
    def bracket(self) -> int:
        """Of so many configurations one is trained to its end."""
        return self.divisor ** (self.rungs - 1)

    def steps(self, total: int) -> list[int]:
        """The generator steps of the rungs, rising, of a GAN that takes ``total``.

        Raises:
          UserError: the first rungs would be at the same step.
        """
        powers = range(self.rungs - 1, -1, -1)
        found = [total // self.factor**power for power in powers]
        if found[0] < 1:
            raise UserError(
                f"--rungs={self.rungs} with --halving={self.factor} needs at least"
                f" {self.factor ** (self.rungs - 1)} steps, and these GANs take"
                f" {total}: use fewer --rungs"
            )
        return found

    def go_on(self, values: Mapping[Any, Sequence[float | None]], of: int) -> list[Any]:
        """Which configurations go on.

        Args:
          values: of each the distances of its GANs, one a seed; None is worse than any.
          of: how many there are, those included that are not measured yet.

        Returns:
          The best, by the mean of their distances: one of ``divisor`` of all, at least
          one. A configuration that is not among the best of those measured will not be
          among the best of all.
        """
        means = {
            key: math.inf if None in many else math.fsum(many) / len(many)
            for key, many in values.items()
        }
        return sorted(means, key=means.__getitem__)[: max(1, of // self.divisor)]


def replay(
    searches: Sequence[Sequence[Mapping[int, float | None]]],
    halving: Halving,
    steps: int,
) -> dict[str, Any]:
    """What a halving would have kept of GANs that were all trained to their end.

    Args:
      searches: of each the GANs, of each its distance by the steps.
      halving: what to try.
      steps: generator steps of each GAN.

    Returns:
      ``halving``, ``rungs`` and ``keep``; ``share`` of the steps that it takes;
      ``hits``, how many searches end with the best setting; and ``regrets``, of each
      search how far the distance that it ends with is above the least, relatively;
      None where what was kept has no distance at its end.
    """
    taken, regrets = 0, []
    for search in searches:
        alive, before = {*range(len(search))}, 0
        for step in halving.steps(steps):
            taken += len(alive) * (step - before)
            values = {i: [search[i][step]] for i in alive}
            if step < steps:
                alive = {*halving.go_on(values, len(values))}
            before = step
        ends = [gan[steps] for gan in search]
        least = min((end for end in ends if end is not None), default=math.nan)
        known = [ends[i] for i in alive if ends[i] is not None]
        regrets.append(min(known) / least - 1 if known else None)
    return {
        "halving": halving.factor,
        "rungs": halving.rungs,
        "keep": halving.divisor,
        "share": taken / sum(len(search) * steps for search in searches),
        "hits": sum(regret == 0 for regret in regrets),
        "regrets": regrets,
    }
