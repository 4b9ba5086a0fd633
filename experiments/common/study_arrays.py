"""The GANs of a study as arrays, for its figure."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.evaluation.features import distance_in
from gan_jax.study import ledger, populations

_WIDE = 8  # from the least to the largest


class Seen(NamedTuple):
    """GANs as arrays, with a distance each, the best first.

    Attributes:
      distance: ``[n]``, of those that were trained to their end.
      collapsed: ``[n]``.
      drawn: the numbers that each drew, ``[n]`` by name.
      lost: how many have no distance.
      stopped: distances of those that were stopped, ``[m]``.
      stopped_at: the numbers that each of these drew, ``[m]`` by name.
    """

    distance: np.ndarray
    collapsed: np.ndarray
    drawn: dict[str, np.ndarray]
    lost: int
    stopped: np.ndarray
    stopped_at: dict[str, np.ndarray]

    @classmethod
    def of(cls, rows: Sequence[ledger.Row], names: Sequence[str]) -> "Seen":
        """Those of some rows that have a distance; ``names`` of what each drew."""
        key = distance_in(rows[0])
        known = [row for row in rows if row[key] is not None]
        known.sort(key=lambda row: row[key])
        done = populations.finished(known)
        stopped = [row for row in known if ledger.is_stopped(row)]

        def drawn(some: Sequence[ledger.Row]) -> dict[str, np.ndarray]:
            return {n: np.array([row["swept"][n] for row in some]) for n in names}

        return cls(
            np.array([row[key] for row in done]),
            np.array([row["collapsed"] for row in done], bool),
            drawn(done),
            len(populations.finished(rows)) - len(done),
            np.array([row[key] for row in stopped]),
            drawn(stopped),
        )

    def expected_best(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers k, and the best of k on average.

        One without a distance is as bad as the worst that has one.
        """
        values = np.append(self.distance, np.repeat(self.distance[-1:], self.lost))
        k = populations.some_k(len(values))
        return k, populations.expected_best(values, k)


def some_of(count: int, most: int) -> np.ndarray:
    """Places that are evenly spread, with both ends; all where there are few."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))


def is_wide(values: np.ndarray) -> bool:
    """Whether values are so far apart that they need a logarithmic axis."""
    return len(values) > 0 and 0 < _WIDE * values.min() < values.max()
