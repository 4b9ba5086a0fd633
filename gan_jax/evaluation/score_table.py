"""What was measured of several sets of samples, as a table."""

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

from gan_jax.evaluation import comparison, features

# Column -> the value in it, and its digits.
COLUMNS = {
    **{
        title + sign: (key + suffix, 2)
        for key, title in features.DISTANCES.items()
        for sign, suffix in (("", ""), ("\N{INFINITY}", "_infinity"))
    },
    "KID": ("kid", 3),
    "precision": ("precision", 3),
    "recall": ("recall", 3),
    "density": ("density", 3),
    "coverage": ("coverage", 3),
    "sliced W1": ("sliced_wasserstein", 2),
    "modes": ("modes", 0),
    "class KL": ("class_kl", 3),
    "class accuracy": ("class_accuracy", 3),
    "overfitting": ("overfitting", 3),
}


def table(compared: comparison.Comparison) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the floor, all subjects by Frechet distance, the ceiling.

    Finished runs of equal configurations but for the seed share a row, mean and
    standard deviation (of the sample: n - 1), and have no rows of their own.
    """
    groups: dict[Any, list[int]] = {}
    for i, subject in enumerate(compared.subjects):
        key: Any = i
        if subject.config is not None and subject.step == subject.config.steps:
            key = dataclasses.replace(subject.config, seed=0)
        groups.setdefault(key, []).append(i)
    rows = []
    for members in groups.values():
        configs = {compared.subjects[i].config for i in members}
        if len(configs) == len(members):
            rows.append(members)
        else:  # copies of a run are no evidence of spread
            rows.extend([i] for i in members)
    key = features.distance_in(compared.floor)
    rows.sort(key=lambda row: statistics.mean(compared.values[i][key] for i in row))
    named = [
        (_name(compared.subjects, row), [compared.values[i] for i in row])
        for row in rows
    ]
    floor = (comparison.FLOOR, [compared.floor])
    ceiling = (compared.ceiling_name, [compared.ceiling])
    there = columns([*compared.values, compared.floor])
    return ["samples", *there], [
        [name, *cells(values, there)] for name, values in (floor, *named, ceiling)
    ]


def _name(subjects: Sequence[comparison.Subject], row: Sequence[int]) -> str:
    name, more = subjects[row[0]].name, len(row) - 1
    if not more:
        return name
    return f"{name} + {more} more seed{'s' if more > 1 else ''}"


def columns(measured: Sequence[comparison.Values]) -> list[str]:
    """Those of `COLUMNS` that anything has a value in."""
    return [
        name
        for name, (key, _) in COLUMNS.items()
        if any(key in values for values in measured)
    ]


def cells(members: Sequence[comparison.Values], names: Sequence[str]) -> list[str]:
    """A row under those columns.

    A value, with its interval if it has one; or mean ± standard deviation of several.
    """
    return [_cell(members, *COLUMNS[name]) for name in names]


def _cell(members: Sequence[comparison.Values], key: str, digits: int) -> str:
    numbers = [member[key] for member in members if key in member]
    if not numbers:
        return ""
    mean = f"{statistics.mean(numbers):.{digits}f}"
    if len(numbers) == 1:
        ends = members[0].get(f"{key}_interval", ())
        between = ", ".join(f"{end:.{digits}f}" for end in ends)
        return f"{mean} [{between}]" if between else mean
    return f"{mean} ± {statistics.stdev(numbers):.{digits}f}"
