"""Trackers of a run: what they are given, and that none of them ends or stalls it."""

import importlib.util
import json
import threading
import types

import numpy as np
import pytest
from PIL import Image

from gan_jax.errors import UserError
from gan_jax.run.tracking import trackers
from gan_jax.run.tracking.tracker import Run
from tests.run.tracking.reading import event_values, events

CONFIG = {"loss": "hinge", "steps": 40, "shape": [28, 28, 1]}


def line(step, **values):
    return {"step": step, "seconds": step / 10, **values}


class Recording:
    """A tracker that keeps what it is given, in lists of its class."""

    where = "recording: here"

    def __init__(self, run, record):
        self.id, self.is_new = record or "new", record is None
        self.given.append(("open", record))

    def scalars(self, lines):
        self.given.extend(("line", line["step"]) for line in lines)

    def image(self, step, name, path):
        self.given.append((name, step))

    def close(self, outcome):
        self.given.append(("close", outcome))


@pytest.fixture
def install(monkeypatch):
    """Puts a class in place of a library's tracker."""
    real = trackers.importlib.import_module

    def put(name, tracker):
        tracker.given = []

        def find(module):
            if module.endswith(f".tracking.{name}"):
                return types.SimpleNamespace(Tracker=tracker)
            return real(module)

        monkeypatch.setattr(trackers.importlib, "import_module", find)
        return tracker.given

    return put


@pytest.fixture
def run(tmp_path):
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / "real.png")
    return Run(tmp_path, CONFIG, 0)


def at(run, step):
    return Run(run.folder, run.config, step)


def test_trackers_are_checked_before_a_run_begins(monkeypatch):
    trackers.check(["tensorboard"])
    trackers.check([])
    with pytest.raises(UserError, match="unknown tracker 'wanb'; did you mean 'wandb'"):
        trackers.check(["wanb"])
    with pytest.raises(UserError, match="names tensorboard twice"):
        trackers.check(["tensorboard", "tensorboard"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'gan_jax\[mlflow\]'"):
        trackers.check(["mlflow"])
    trackers.check(["mlflow"], here=False)


def test_a_resumed_run_continues_its_record_and_a_new_one_gets_what_was_before(
    run, install
):
    given, said = install("wandb", Recording), []
    with trackers.Trackers(["wandb"], run, said.append) as records:
        records.scalars([line(10), line(20)])
        records.image(20, "samples", run.folder / "real.png")
    new = [("open", None), ("real", 0), ("line", 10), ("line", 20), ("samples", 20)]
    assert given == [*new, ("close", "stopped")]
    assert trackers.read_ids(run.folder) == {"wandb": "new"}
    assert said == ["recording: here"]
    given.clear()
    with trackers.Trackers(["wandb"], at(run, 20)) as records:
        records.scalars([line(30), line(40)])
    again = [("open", "new"), ("line", 30), ("line", 40), ("close", "finished")]
    assert given == again

    lines = [json.dumps(line(step)) + "\n" for step in (10, 20, 30)]
    (run.folder / "metrics.jsonl").write_text("".join(lines))
    given = install("mlflow", Recording)
    with trackers.Trackers(["mlflow"], at(run, 20)):
        pass  # the line of step 30 comes again
    later = [("open", None), ("line", 10), ("line", 20), ("real", 0)]
    assert given == [*later, ("close", "stopped")]
    assert trackers.read_ids(run.folder) == {"wandb": "new", "mlflow": "new"}


class NoStart(Recording):
    def __init__(self, run, record):
        raise ConnectionError("no\nnetwork")


class NoLine(Recording):
    def scalars(self, lines):
        if lines and lines[-1]["step"] > 10:
            raise SystemExit("away")
        super().scalars(lines)


class NoEnd(Recording):
    def close(self, outcome):
        raise OSError("full")


@pytest.mark.parametrize(
    ("tracker", "why", "left"),
    [
        (NoStart, "ConnectionError: no network", []),
        (NoLine, "SystemExit: away", [("line", 10), ("close", "failed")]),
        (NoEnd, "OSError: full", [("line", 10), ("line", 20)]),
    ],
)
def test_a_tracker_that_fails_is_one_line_and_the_others_go_on(
    run, install, tracker, why, left
):
    given, said = install("wandb", tracker), []
    with trackers.Trackers(["wandb", "tensorboard"], run, said.append) as records:
        records.scalars([line(10, d_loss=1.0)])
        records.image(10, "samples", run.folder / "real.png")  # else lines are joined
        records.scalars([line(20, d_loss=2.0)])
    assert said[-1] == (
        f"warning: the tracker wandb fails, and records nothing from here on: {why}"
    )
    assert [pair for pair in given if pair[0] in ("line", "close")] == left
    assert event_values(run.folder, "d_loss") == [(10, 1.0), (20, 2.0)]


def test_a_package_that_cannot_be_imported_is_one_line(run, monkeypatch):
    def fail(module):
        raise ImportError(f"half of {module}")

    monkeypatch.setattr(trackers.importlib, "import_module", fail)
    said = []
    with trackers.Trackers(["wandb"], run, said.append) as records:
        records.scalars([line(10)])
    (only,) = said
    assert (
        "the tracker wandb fails, and records nothing from here on: ImportError" in only
    )


def test_a_tracker_that_does_not_come_back_stalls_nothing(run, install, monkeypatch):
    free = threading.Event()

    class Hangs(Recording):
        def scalars(self, lines):
            if lines:
                free.wait()

    install("wandb", Hangs)
    monkeypatch.setattr(trackers, "_SECONDS", 0.01)
    said = []
    with trackers.Trackers(["wandb"], run, said.append) as records:
        for step in range(1, 1000):
            records.scalars([line(step)])
    free.set()
    assert said[-1].startswith("warning: wandb has not written all within")


def test_lines_that_wait_are_given_at_once_and_in_their_order(run, install):
    go, calls = threading.Event(), []

    class Slow(Recording):
        def scalars(self, lines):
            go.wait()
            calls.append([line["step"] for line in lines])

        def image(self, step, name, path):
            calls.append(name)

    install("wandb", Slow)
    with trackers.Trackers(["wandb"], at(run, 5)) as records:
        for step in (10, 20):
            records.scalars([line(step)])
        records.image(20, "samples", run.folder / "real.png")
        for step in (30, 40):
            records.scalars([line(step)])
        go.set()
    assert calls == [[], "real", [10, 20], "samples", [30, 40]]


def test_a_run_that_fails_says_so_to_its_trackers(run, install):
    given = install("wandb", Recording)

    def fail():
        with trackers.Trackers(["wandb"], run) as records:
            records.scalars([line(40)])
            raise UserError("d_loss is nan")

    with pytest.raises(UserError):
        fail()
    assert given[-1] == ("close", "failed")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", '{"foo": "a"}', '{"wandb": 3}', '{"wandb": "../a b"}', "\xff"],
)
def test_a_damaged_file_of_ids_is_refused_and_kept(run, text):
    (run.folder / "trackers.json").write_text(text)
    with pytest.raises(UserError, match=r"trackers.json cannot be read .*: delete it"):
        trackers.Trackers(["wandb"], run)
    assert (run.folder / "trackers.json").read_text() == text


def test_tensorboard_has_scalars_pictures_and_settings(run):
    picture = (run.folder / "real.png").read_bytes()
    with trackers.Trackers(["tensorboard"], run) as records:
        records.scalars([line(10, d_loss=1.0, g_loss=None), line(20, d_loss=2.0)])
        records.image(20, "samples", run.folder / "real.png")
    assert event_values(run.folder, "d_loss") == [(10, 1.0), (20, 2.0)]
    assert event_values(run.folder, "g_loss") == []
    assert event_values(run.folder, "samples") == [(20, picture)]
    assert event_values(run.folder, "real") == [(0, picture)]
    (shown,) = (
        value.tensor.string_val[0]
        for event in events(run.folder)
        for value in event.summary.value
        if value.HasField("tensor")
    )
    assert b'loss: "hinge"' in shown
    assert b"shape: [28, 28, 1]" in shown


def test_tensorboard_drops_what_a_resumed_run_writes_again(run):
    with trackers.Trackers(["tensorboard"], run) as records:
        records.scalars([line(step, d_loss=1.0) for step in (10, 20, 30)])
    with trackers.Trackers(["tensorboard"], at(run, 20)) as records:
        records.scalars([line(step, d_loss=2.0) for step in (30, 40)])
    found = event_values(run.folder, "d_loss")
    assert found == [(10, 1.0), (20, 1.0), (30, 2.0), (40, 2.0)]
