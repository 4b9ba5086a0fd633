"""What a study trains next, rung by rung, and the rows of what is done.

It takes lists of GANs and hands waves of them to an engine (`engines`, `cluster`). All
that it needs to go on after it was killed is in the rows of the ledger.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from gan_jax.data import Description
from gan_jax.evaluation.features import distance_in
from gan_jax.study import ledger, search, sweep, trainer, waves
from gan_jax.study.engines import Result
from gan_jax.study.halving import Halving
from gan_jax.study.sweep import Run
from gan_jax.system.files import remove, writing
from gan_jax.system.remote import Place

_ALL = Halving(rungs=1)  # stops none
_LOOK = 0.05  # share of the GANs, after which states are removed that are of no use
Keep = Callable[[ledger.Row, np.ndarray | None], None]


class Engine(Protocol):
    """What carries out waves, in whatever order they are done.

    Attributes:
      images: what there is to know of the training split.
      device: kind of the devices.
      floor: the Frechet distance of training images, as many as samples of a GAN.
    """

    images: Description
    device: str
    floor: float

    def save_in(self, folder: Place) -> None:
        """Waves under way, and GANs at rungs, are saved in a study's folder."""

    def run(self, waves: Iterable[waves.Wave]) -> Iterator[Result]:
        """Asks for waves as it can take them; ends early where a signal has come."""


class Driver:
    """Trains lists of GANs, and keeps a row of each.

    Attributes:
      rows: of all that is done in the folder, by `key`.
    """

    def __init__(
        self,
        engine: Engine,
        plan: waves.Plan,
        folder: Place,
        keep: Keep,
        halving: Halving = _ALL,
        varying: Sequence[str] = (),
    ) -> None:
        """Reads what the folder holds.

        Args:
          engine: what carries out waves.
          plan: how GANs are trained.
          folder: of the study.
          keep: is given each new row, and the first of the GAN's samples.
          halving: at which rungs they are measured, and how many go on.
          varying: numbers in which lists of GANs to come differ: they share programs.

        Raises:
          UserError: the ledger is damaged.
        """
        self._engine, self._plan, self._folder = engine, plan, folder
        self._keep, self._halving, self._varying = keep, halving, varying
        self._forgotten: set[str] = set()
        self.rows = ledger.read(folder)

    def key(self, run: Run) -> str:
        """That of its row."""
        return ledger.key(self._plan.config(run))

    def train(self, runs: Sequence[Run]) -> bool:
        """Trains GANs from rung to rung, those that go on.

        Returns:
          Whether all is done; if not, a signal has come.

        Raises:
          UserError: as the engine's `run`.
        """
        alive = {self.key(run): run for run in runs}
        programs = sweep.programs([*alive.values()], self._varying)
        for rung in range(self._halving.rungs):
            since = 0  # GANs since what does not go on was last looked for
            for result in self._engine.run(self._waves(programs, alive, rung)):
                self._record(result)
                since += len(result.wave.runs)
                if self._halving.rungs > 1 and since > _LOOK * len(alive):
                    self._forget(self._ranked(alive, rung)[1])
                    since = 0
            if not all(self._at(key, run, rung) for key, run in alive.items()):
                return False
            if rung + 1 < self._halving.rungs:
                going, stopped = self._ranked(alive, rung)
                self._forget(stopped)
                alive = {key: alive[key] for key in going}
        self._forget(alive)
        return True

    def search(self, trials: search.Search) -> bool:
        """Trains what is asked for while its results are told.

        Without rungs, the next GANs are asked for as soon as a wave is free; with them,
        as many as end in one that is trained to its end.

        Returns and raises as `train`.
        """
        if self._halving.rungs > 1:
            while asked := trials.ask_bracket(self._halving.bracket):
                if not self.train([run for _, runs in asked for run in runs]):
                    return False
                for number, runs in asked:
                    trials.tell(number, [self.rows[self.key(run)] for run in runs])
            return True
        under_way: dict[int, list[Run]] = {}
        flying: set[str] = set()  # GANs; of two trials with the same values, once
        is_over = False

        def next_waves() -> Iterator[waves.Wave]:
            nonlocal is_over
            while asked := trials.ask(self._plan.width):
                under_way.update(asked)
                keyed = {self.key(run): run for _, runs in asked for run in runs}
                new = {key: run for key, run in keyed.items() if key not in flying}
                flying.update(new)
                for program in sweep.programs([*new.values()], self._varying):
                    yield from self._waves([program], new, 0, fit=False)
            is_over = True

        def tell() -> None:
            for number, runs in [*under_way.items()]:
                rows = [self.rows.get(self.key(run)) for run in runs]
                if all(rows):
                    del under_way[number]
                    trials.tell(number, rows)

        for result in self._engine.run(next_waves()):
            self._record(result)
            tell()
        tell()  # those of which all was done before
        return is_over and not under_way

    def _steps(self, run: Run) -> list[int]:
        return self._halving.steps(self._plan.steps_of(run.recipe))

    def _waves(
        self,
        programs: Sequence[sweep.Program],
        alive: dict[str, Run],
        rung: int,
        *,
        fit: bool = True,
    ) -> Iterator[waves.Wave]:
        """Of those alive, what is missing at a rung; how wide depends on all alive."""
        for program in programs:
            keyed = [(self.key(run), run) for run in program.runs]
            here = [run for key, run in keyed if key in alive]
            missing = [
                run
                for key, run in keyed
                if key in alive and not self._at(key, run, rung)
            ]
            if missing:
                begin, end = [0, *self._steps(missing[0])][rung : rung + 2]
                whole = program._replace(runs=here)
                plan = self._plan.fit(len(here)) if fit else self._plan
                yield from waves.pack(whole, plan, missing, begin=begin, end=end)

    def _at(self, key: str, run: Run, rung: int) -> dict[str, Any] | None:
        """What was measured of a GAN at a rung."""
        row = self.rows.get(key)
        if row is None:
            return None
        step = self._steps(run)[rung]
        found = [past for past in row.get("rungs", [row]) if past["steps"] == step]
        return found[0] if found else None

    def _record(self, result: Result) -> None:
        rows = []
        for run, measures, samples in zip(
            result.wave.runs, result.measures, result.samples, strict=True
        ):
            config, steps = self._plan.config(run), result.wave.end
            row = ledger.row(run, config, result.seconds, measures, steps)
            key = ledger.key(config)
            before = self.rows.get(key)
            if self._halving.rungs > 1:
                distance = distance_in(row)
                names = ("steps", distance, f"{distance}_train")
                past = [] if before is None else before["rungs"]
                past = [rung for rung in past if rung["steps"] < steps]
                row["rungs"] = [*past, {name: row[name] for name in names}]
            if before is not None and row["seconds"] is not None:
                earlier = before["seconds"]
                row["seconds"] = None if earlier is None else row["seconds"] + earlier
            self.rows[key] = row
            self._keep(row, samples)
            rows.append(row)
        ledger.append(self._folder, rows)
        path = trainer.wave_file(self._folder, result.wave)
        with writing(path):
            remove(path)

    def _ranked(self, alive: dict[str, Run], rung: int) -> tuple[list[str], list[str]]:
        """Who goes on from a rung, as far as is known by now, and who does not."""
        going, stopped = [], []
        for loss in dict.fromkeys(run.recipe.loss for run in alive.values()):
            members: dict[str, list[str]] = {}
            for key, run in alive.items():
                if run.recipe.loss == loss:
                    chosen = json.dumps(run.swept, sort_keys=True)
                    members.setdefault(chosen, []).append(key)
            values = {
                chosen: [_distance(measured) for measured in found]
                for chosen, keys in members.items()
                if all(found := [self._at(key, alive[key], rung) for key in keys])
            }
            best = self._halving.go_on(values, len(members))
            for chosen in values:
                (going if chosen in best else stopped).extend(members[chosen])
        return going, stopped

    def _forget(self, keys: Iterable[str]) -> None:
        """Removes the states of GANs that do not go on."""
        if self._halving.rungs > 1:
            for key in {*keys} - self._forgotten:
                self._forgotten.add(key)
                path = trainer.member_file(self._folder, json.loads(key))
                with writing(path):
                    remove(path)


def _distance(measured: dict[str, Any]) -> float | None:
    return measured[f"{distance_in(measured)}_train"]
