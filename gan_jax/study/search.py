"""Which configurations a study tries, asked of Optuna and told to it.

What was asked and told is in Optuna's storage: a study that goes on asks for what was
under way first, and `optuna-dashboard` shows it.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import operator
from collections.abc import Callable, Collection, Sequence
from typing import Any

from gan_jax.errors import UserError
from gan_jax.evaluation.features import distance_in
from gan_jax.study import ledger, storages, sweep
from gan_jax.study.sweep import Axis, Range, Run

SAMPLERS = ("random", "grid", "tpe")
OWNER = "gan_jax"  # attribute of a study of Optuna's: whose it is
Asked = tuple[int, list[Run]]  # number of a trial, its GANs


def check(axes: dict[str, Axis], sampler: str) -> None:
    """Refuses a sweep that a sampler cannot choose from.

    Raises:
      UserError: it has seeds alone, or a grid is asked for of intervals; or Optuna is
        not installed.
    """
    storages.require()
    if not axes.keys() - {"seed"}:
        raise UserError("--sampler has nothing to choose: --sweep has seeds alone")
    drawn = [*sweep.intervals(axes)]
    if sampler == "grid" and drawn:
        raise UserError(
            f"--sampler=grid takes lists, and {drawn[0]} is an interval: give it a"
            f" number of values, as {drawn[0]}:1e-4..1e-2:log:5"
        )


class Search:
    """The trials of one loss: a trial is a configuration with all of its seeds."""

    def __init__(
        self,
        storage: str,
        loss: str,
        axes: dict[str, Axis],
        make: Callable[[dict[str, Axis]], list[Run]],
        *,
        sampler: str,
        trials: int,
        seed: int,
        owner: dict[str, str],
        overwrite: bool = False,
    ) -> None:
        """Opens a loss's study in a storage, or makes it.

        Args:
          storage: a URL of Optuna's, such as ``sqlite:///study.db``; or the path of a
            file, which becomes a journal.
          loss: its name.
          axes: of the sweep; lists are chosen from, intervals drawn from, and all
            values of ``seed`` belong to every configuration.
          make: the GANs of a sweep of one configuration, as `sweep.expand`.
          sampler: of `SAMPLERS`; 'grid' takes every combination once, and lists alone.
          trials: configurations at most.
          seed: of what is drawn; the n-th trial's draws depend on nothing else of this
            process.
          owner: ``id`` and ``workdir`` of the folder that has the trials' rows.
          overwrite: whether a study of this name is deleted first.

        Raises:
          UserError: Optuna is not installed, or the storage cannot be opened or holds
            trials of another sweep or another folder.
        """
        self._optuna, self._storage = storages.require(), storage
        self._seeds = axes.get("seed", (0,))
        self._axes = {name: axis for name, axis in axes.items() if name != "seed"}
        self._make, self._seed, self._loss = make, seed, loss
        self._sampler, self._trials, self._owner = sampler, trials, owner
        if sampler == "grid":
            self._trials = min(trials, math.prod(map(len, self._axes.values())))
        if overwrite:
            with contextlib.suppress(Exception):  # there is none, or no storage yet
                self._optuna.delete_study(
                    study_name=loss, storage=storages.opened(storage)
                )
        with storages.told(storage):
            self._study = self._optuna.create_study(
                storage=storages.opened(storage),
                study_name=loss,
                direction="minimize",
                load_if_exists=True,
            )
            self._require_own()
            self._study.set_user_attr(OWNER, owner)
        self._under_way: dict[int, Any] = {}
        for trial in self._there():
            for name in trial.params.keys() ^ self._axes.keys():
                if name in trial.params or trial.state.is_finished():
                    raise self._other(name)
            for name, drawn in trial.distributions.items():
                axis = self._axes[name]  # Optuna itself compares the values of lists
                if isinstance(axis, Range) and (axis.low, axis.high) != (
                    getattr(drawn, "low", None),
                    getattr(drawn, "high", None),
                ):
                    raise self._other(name)
        running = self._optuna.trial.TrialState.RUNNING
        with self._told():
            self._left = [  # by a process that was stopped
                self._optuna.Trial(self._study, trial._trial_id)
                for trial in self._there()
                if trial.state == running
            ]

    def _told(self) -> contextlib.AbstractContextManager[None]:
        then = "start again, which goes on, when no other program keeps it busy"
        return storages.told(self._storage, "go on with", then)

    def _there(self) -> list[Any]:
        """All trials, in their order."""
        with self._told():
            return self._study.get_trials(deepcopy=False)

    def _require_own(self) -> None:
        """Refuses the trials of a folder that is another, however it is called."""
        other = self._study.user_attrs.get(OWNER) or self._owner
        if other["id"] != self._owner["id"]:
            raise UserError(
                f"Optuna's study {self._loss} is of --workdir={other['workdir']}: go on"
                " there, name another --storage, or delete it with --overwrite"
            )

    def ask(self, gans: int = 1) -> list[Asked]:
        """The next trials, of at least so many GANs; none at the end."""
        asked: list[Asked] = []
        while len(asked) * len(self._seeds) < gans and (trial := self._next()):
            asked.append(trial)
        return asked

    def ask_bracket(self, size: int) -> list[Asked]:
        """The next trials up to a multiple of ``size``; none at the end.

        Those of the same bracket that were told before are among them: what goes on
        depends on them, too.
        """
        asked = self.ask()
        if not asked:
            return []
        first = asked[0][0] // size * size
        while trial := self._next(first + size):
            asked.append(trial)
        told = [
            (trial.number, self._runs(trial.params))
            for trial in self._there()[first : first + size]
            if trial.state.is_finished()
        ]
        return sorted(told + asked, key=operator.itemgetter(0))

    def _next(self, end: float = math.inf) -> Asked | None:
        """The next trial, if its number is below ``end``."""
        number = len(self._there())
        if self._left:
            number = self._left[0].number
        if number >= end or not (self._left or number < self._trials):
            return None
        self._study.sampler = self._make_sampler(number)
        with self._told():
            self._require_own()
            trial = self._left.pop(0) if self._left else self._study.ask()
            try:
                for name, axis in self._axes.items():
                    if isinstance(axis, Range):
                        trial.suggest_float(name, axis.low, axis.high, log=axis.log)
                    else:
                        trial.suggest_categorical(name, axis)
            except ValueError as error:
                raise self._other(name) from error
        self._under_way[trial.number] = trial
        return trial.number, self._runs(trial.params)

    def _other(self, name: str) -> UserError:
        return UserError(
            f"Optuna's study {self._loss} is of another sweep, with other values of"
            f" {name}: use that --sweep, another --storage or another --workdir"
        )

    def _make_sampler(self, number: int) -> Any:
        """One for each trial: who goes on must not draw again what was drawn."""
        samplers = self._optuna.samplers
        if self._sampler == "grid":
            return samplers.GridSampler(self._axes, seed=self._seed)
        text = json.dumps([self._seed, self._loss, number])
        digest = hashlib.sha256(text.encode()).digest()
        seed = int.from_bytes(digest[:4])
        if self._sampler == "random":
            return samplers.RandomSampler(seed=seed)
        # Those under way count as bad: what is asked for at once lies apart.
        return samplers.TPESampler(seed=seed, constant_liar=True)

    def runs(self) -> list[Run]:
        """The GANs of all trials, in their order."""
        whole = [
            trial.params
            for trial in self._there()
            if len(trial.params) == len(self._axes)
        ]
        return [run for params in whole for run in self._runs(params)]

    def require_rows(self, there: Collection[str], key: Callable[[Run], str]) -> None:
        """Refuses a storage that knows more than the folder does.

        Args:
          there: keys of the folder's rows.
          key: that of a GAN.

        Raises:
          UserError: a trial has ended, and its GANs have no rows.
        """
        done = [trial for trial in self._there() if trial.state.is_finished()]
        runs = [run for trial in done for run in self._runs(trial.params)]
        if not all(key(run) in there for run in runs):
            raise UserError(
                f"Optuna's study {self._loss} has trials of which this folder has no"
                " rows, with the seeds of --sweep and the recipe of this version: use"
                " the same seeds and version, or another --storage or --workdir"
            )

    def _runs(self, params: dict[str, Any]) -> list[Run]:
        """The GANs of a configuration, one a seed."""
        axes = {name: (params[name],) for name in self._axes}
        runs = self._make({**axes, "seed": tuple(self._seeds)})
        return [dataclasses.replace(run, drawn=tuple(axes)) for run in runs]

    def tell(self, number: int, rows: Sequence[ledger.Row]) -> None:
        """Takes the rows of a trial's GANs.

        Its value is the mean over seeds of the distance to the training split, and so
        are those that were reported at rungs. A trial with a GAN that has no distance
        has failed, and one that was stopped at a rung is pruned, as Optuna calls it.
        What was told before stays as it is.
        """
        if number not in self._under_way:
            return
        trial, states = self._under_way.pop(number), self._optuna.trial.TrialState
        # That of a grid would end a loop of Optuna's, and there is none.
        self._study.sampler = self._optuna.samplers.RandomSampler()
        key = f"{distance_in(rows[0])}_train"
        rungs = [row.get("rungs", [row]) for row in rows]
        ends = [row[key] for row in rows]
        with self._told():
            for measured in zip(*rungs, strict=False):
                if None not in (values := [rung[key] for rung in measured]):
                    trial.report(sum(values) / len(values), measured[0]["steps"])
            if None in ends:
                self._study.tell(trial, state=states.FAIL)
            elif any(ledger.is_stopped(row) for row in rows):
                self._study.tell(trial, state=states.PRUNED)
            else:
                self._study.tell(trial, sum(ends) / len(ends))
