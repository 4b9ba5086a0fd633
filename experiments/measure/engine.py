"""What Ray itself costs a study: waves of no work, on one, two and four local nodes.

    python -m experiments.measure.engine --output=engine.json

Each wave is a task as in experiments.study --engine=ray: it is sent, looks for its
data set in the object store, asks whether to stop, and its result comes back. Nodes are
processes of this machine, of one core each. Needs the extra ray.
"""

import math
import pathlib
import tempfile
import time
from typing import Any

import numpy as np
from absl import flags

from experiments.common import cli, results, tables
from gan_jax import data
from gan_jax.errors import UserError
from gan_jax.study import cluster, connection, sweep, waves
from gan_jax.study.engines import Local, Result, Subject
from gan_jax.system import cores
from gan_jax.system.remote import Place

_NODES = flags.DEFINE_list("nodes", ["1", "2", "4"], "How many nodes, one by one.")
_WAVES = flags.DEFINE_integer("waves", 500, "Waves that are timed.")
_SECONDS = flags.DEFINE_float("seconds", 0.0, "How long each wave sleeps.")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for every number.")

_WARM = 10  # waves a node that come first: processes start for them


class Idle(Local):
    """Carries out a wave without training it."""

    def save_in(self, folder: Place) -> None:
        """Saves nothing."""

    def carry_out(self, wave: waves.Wave) -> Result | None:
        """Sleeps, and has measured nothing."""
        if self._should_stop():
            return None
        time.sleep(wave.begin / 1000)
        measures = [{"fcd": 0.0, "fcd_train": 0.0} for _ in wave.runs]
        shape = (100, *self.images.shape)
        return Result(wave, 0.0, measures, [np.zeros(shape, np.uint8)])


def main() -> None:
    """Prints the table and writes what was asked for."""
    cli.require_positive(_WAVES)
    cli.require_writable(_OUTPUT)
    nodes = _NODES.value
    if not nodes or not all(word.isdecimal() and int(word) for word in nodes):
        raise UserError(f"--nodes={','.join(nodes)}: write numbers, as 1,2,4")
    cli.require_in(_SECONDS, 0, 3600)
    ray = connection.require()
    found = [measure(int(word)) for word in nodes]
    header = ("nodes", "waves a minute", "ms a wave", "ms a wave and node")
    cells = [
        [
            str(row["nodes"]),
            f"{row['waves_a_minute']:.0f}",
            f"{60_000 / row['waves_a_minute']:.2f}",
            f"{60_000 * row['nodes'] / row['waves_a_minute']:.2f}",
        ]
        for row in found
    ]
    print(tables.as_text(header, cells))
    document = {
        **results.begin("measure.engine", "cpu"),  # that of Ray's processes
        "waves": _WAVES.value,
        "seconds": _SECONDS.value,
        "cores": cores.available(),
        "ray": ray.__version__,
        "rows": found,
    }
    cli.write(_OUTPUT, results.as_json(document))


def measure(nodes: int) -> dict[str, Any]:
    """Times the waves on so many nodes.

    Returns:
      ``nodes`` and ``waves_a_minute``.
    """
    with (
        connection.local_nodes(nodes) as there,
        connection.connected(there.address),
        tempfile.TemporaryDirectory() as folder,
    ):
        path = pathlib.Path(folder)
        (path / "config.json").write_text("{}")
        engine = cluster.Cluster(_subject, 1, lambda: False, local=Idle)
        engine.save_in(path)
        plan = waves.Plan(engine.images, 1, 1, 1, 1, 1)
        list(engine.run(_idle(plan, _WARM * nodes)))
        begin = time.perf_counter()
        count = sum(1 for _ in engine.run(_idle(plan, _WAVES.value)))
        seconds = time.perf_counter() - begin
    print(f"{nodes} nodes: {count} waves in {seconds:.1f} s", flush=True)
    return {"nodes": nodes, "waves_a_minute": 60 * count / seconds}


def _subject() -> Subject:
    """Drawn noise of the size of Fashion-MNIST; nothing measures by it."""
    images = np.random.default_rng(0).integers(0, 256, (60_000, 28, 28, 1), np.uint8)
    dataset = data.Dataset("garments", images, None, (), "noise")
    return Subject(dataset.describe(), dataset, None, "cpu", math.nan)


def _idle(plan: waves.Plan, count: int) -> list[waves.Wave]:
    runs = sweep.expand(["hinge"], "tuned", {"seed": tuple(range(count))})
    [program] = sweep.programs(runs)
    pause = round(1000 * _SECONDS.value)  # in the place of steps
    return [*waves.pack(program, plan, runs, begin=pause, end=pause)]


if __name__ == "__main__":
    cli.run(main)
