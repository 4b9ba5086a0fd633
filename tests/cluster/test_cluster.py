"""Waves as tasks of Ray, on clusters of several local nodes that come and go."""

import os
import pathlib
import threading
import time

import pytest

from gan_jax import data
from gan_jax.errors import UserError
from gan_jax.study import cluster, connection, sweep, waves
from gan_jax.study.engines import Result, Subject

pytestmark = pytest.mark.ray
ray = pytest.importorskip("ray")

IMAGES = data.Description("garments", (28, 28, 1), 10, 64)
PLAN = waves.Plan(IMAGES, 1, 10, 1, 1, 500)


class Scripted:
    """Stands for training: a wave's seed says what it does; each start leaves a file.

    It asks where it waits, and goes on where its node was lost, as real waves do.
    With "nodes" it first waits until waves have begun on so many nodes: the process
    of a node may take many seconds to start.
    """

    def __init__(self, subject, should_stop):
        self._what, self._should_stop = subject.judge, should_stop

    def save_in(self, folder):
        self._folder = pathlib.Path(folder)

    def carry_out(self, wave):
        [run] = wave.runs
        here = ray.get_runtime_context().get_node_id()
        (self._folder / f"{run.seed}_{here}_{os.getpid()}").touch()
        what = self._what.get(run.seed, 0.0)
        if isinstance(what, str):
            raise UserError(what)
        latest = time.monotonic() + 120
        while self._nodes() < self._what.get("nodes", 1) and time.monotonic() < latest:
            time.sleep(0.05)
        end = time.monotonic() + what
        while time.monotonic() < end:
            if self._should_stop():
                return None
            time.sleep(0.05)
        (self._folder / f"done_{run.seed}").touch()
        return Result(wave, 0.0, [{"node": here}], [None])

    def _nodes(self):
        begun = started(self._folder).values()
        return len({node for where in begun for node in where})


def load(what=None, images=None):
    dataset = data.Dataset("garments", images, None, (), "made")
    return Subject(IMAGES, dataset, what or {}, "cpu", 0.5)


def waves_of(count):
    runs = sweep.expand(
        ["hinge"], "published", sweep.parse(f"batch_size:8,seed:0..{count - 1}")
    )
    [program] = sweep.programs(runs)
    return waves.pack(program, PLAN, runs, begin=0, end=10)


@pytest.fixture(scope="module")
def nodes():
    """A head without cores, and two nodes with one each."""
    with connection.local_nodes(2) as there:
        yield there


@pytest.fixture(scope="module")
def connected(nodes):
    """One connection for all of these tests; those of their own come before."""
    with connection.connected(nodes.address):
        yield nodes


@pytest.fixture
def study(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def started(folder):
    """How often each wave was begun, by its seed, and where."""
    found = {}
    for path in folder.glob("*_*_*"):
        seed, node, _ = path.name.split("_")
        found.setdefault(int(seed), []).append(node)
    return found


def engine_on(study, what, *, should_stop=lambda: False, say=print):
    def made():
        return load(what)

    engine = cluster.Cluster(made, 1, should_stop, say, local=Scripted)
    engine.save_in(study)
    return engine


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1:1", r"no Ray cluster at --ray_address=127.*refused"),
        ("ray://head:10001", "no Ray cluster at --ray_address=ray"),
        ("head", "neither auto nor HOST:PORT"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_line(address, why):
    with pytest.raises(UserError, match=why), connection.connected(address):
        pass


def test_what_does_not_fit_into_the_object_store_is_put_on_disk(study):
    how = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    with (
        connection.local_nodes(0, **how) as there,
        connection.connected(there.address),
    ):
        engine = cluster.Cluster(load_much, 1, lambda: False, local=Summing)
        engine.save_in(study)
        found = [result.measures[0]["sum"] for result in engine.run(waves_of(3))]
    assert found == [200 * 2**20] * 3


def load_much():
    import numpy as np

    return load(images=np.ones((200, 2**10, 2**10, 1), np.uint8))


class Summing(Scripted):
    """Reads all of the data set."""

    def __init__(self, subject, should_stop):
        super().__init__(subject, should_stop)
        self._images = subject.dataset.images

    def carry_out(self, wave):
        return Result(wave, 0.0, [{"sum": int(self._images.sum())}], [None])


def test_waves_run_side_by_side_on_every_node(connected, study):
    what = dict.fromkeys(range(8), 0.3) | {"nodes": 2}
    engine = engine_on(study, what)
    assert engine.images == IMAGES
    found = {result.wave.runs[0].seed: result for result in engine.run(waves_of(8))}
    assert sorted(found) == [*range(8)]
    assert len({result.measures[0]["node"] for result in found.values()}) == 2


def test_no_more_waves_run_at_once_than_there_are_cores(connected, study):
    """They ask whether to stop all the while, and keep their cores meanwhile."""
    most = []

    def look():
        begun, done = len(list(study.glob("*_*_*"))), len(list(study.glob("done_*")))
        most.append(begun - done)
        return False

    what = dict.fromkeys(range(6), 1.5) | {"nodes": 2}
    engine = engine_on(study, what, should_stop=look)
    assert len(list(engine.run(waves_of(6)))) == 6
    assert max(most) == 2


def test_a_lost_node_costs_the_waves_that_ran_there_and_nothing_else(connected, study):
    lost = connected.add_node(num_cpus=1)
    what = dict.fromkeys(range(6), 2.0) | {"nodes": 3}
    engine = engine_on(study, what)
    ended = threading.Event()

    def lose():
        while not any(lost.node_id in where for where in started(study).values()):
            if ended.wait(0.1):
                return
        time.sleep(0.5)
        connected.remove_node(lost, allow_graceful=False)

    thread = threading.Thread(target=lose)
    thread.start()
    try:
        done = [result.wave.runs[0].seed for result in engine.run(waves_of(6))]
    finally:
        ended.set()
        thread.join()
    assert sorted(done) == [*range(6)]
    begun = started(study)
    twice = [seed for seed, where in begun.items() if len(where) > 1]
    assert len(twice) == 1
    assert begun[twice[0]].count(lost.node_id) == 1
    assert sum(map(len, begun.values())) == 7


def test_a_wave_that_raises_is_left_out_and_said(connected, study):
    said = []
    engine = engine_on(study, {1: "the disk is full"}, say=said.append)
    done = []
    with pytest.raises(UserError) as error:
        done.extend(result.wave.runs[0].seed for result in engine.run(waves_of(4)))
    assert sorted(done) == [0, 2, 3]
    assert said == ["left out: hinge batch_size=8 seed=1: the disk is full"]
    assert "1 of the waves failed" in str(error.value)
    assert "the disk is full" in str(error.value)
    assert "start again" in str(error.value)


def test_a_study_whose_waves_all_raise_ends_early(connected, study):
    engine = engine_on(study, dict.fromkeys(range(50), "no such file"))
    with pytest.raises(UserError, match="no such file"):
        list(engine.run(waves_of(50)))
    assert 3 <= len(started(study)) < 12


def test_waves_under_way_are_asked_to_stop(connected, study):
    engine = engine_on(
        study,
        dict.fromkeys(range(50), 60.0),
        should_stop=lambda: len(started(study)) >= 2,
    )
    assert list(engine.run(waves_of(50))) == []
    assert len(started(study)) <= 5  # those that waited begin, and end at once


def test_a_folder_that_a_node_does_not_see_is_not_written_to(connected, study):
    """A folder of the same name is there, and is not the study's."""
    engine = engine_on(study, {})
    (study / "config.json").write_text('{"other": 1}')
    with pytest.raises(UserError, match="_folder"):  # `Scripted` was given none
        list(engine.run(waves_of(3)))
    assert started(study) == {}


def test_waves_that_fit_on_no_node_are_refused(connected):
    with pytest.raises(UserError, match=r"--num_devices=2 .*no node .* more than 1"):
        cluster.Cluster(load, 2, lambda: False, local=Scripted)


def test_data_that_cannot_be_had_are_one_line(connected, study):

    def missing():
        raise UserError("no such data set: name another")

    with pytest.raises(UserError, match=r"^no such data set: name another$"):
        cluster.Cluster(missing, 1, lambda: False, local=Scripted)
