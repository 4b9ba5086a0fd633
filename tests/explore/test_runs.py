"""How a run is, said of folders in every state."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from gan_jax.explore import runs
from gan_jax.run import configuration
from tests.explore import making
from tests.explore.making import config_of, make_run


@pytest.fixture
def run(tmp_path):
    make_run(tmp_path / "a")
    return tmp_path / "a"


def described(run):
    return runs.describe(run.parent, run.name)


def test_a_run_that_is_done_says_what_it_is(run):
    found = described(run)
    assert (found.status, found.step, found.distance) == (runs.DONE, 20, None)
    assert found.config == config_of()
    assert found.has_samples
    assert found.changed == pytest.approx(os.stat(run / "samples").st_mtime, abs=60)


def test_the_distance_is_that_of_the_evaluation_and_else_of_the_log(run):
    line = {"step": 20, "seconds": 2.0, "fcd": 50.0}
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    assert described(run).distance == ("FCD to training images", 50.0)
    (run / "evaluation.json").write_text(json.dumps({"values": {"fcd": 42.5}}))
    assert described(run).distance == ("FCD", 42.5)
    assert runs.evaluation(run) == {"fcd": 42.5}


@pytest.mark.parametrize(
    "text", ["", "[]", '{"values": 3}', '{"values": {"fcd": "x"}}']
)
def test_an_evaluation_that_is_damaged_is_none(run, text):
    (run / "evaluation.json").write_text(text)
    assert described(run).distance is None
    assert described(run).status == runs.DONE


def test_a_run_that_a_living_process_writes_is_running(tmp_path):
    run = tmp_path / "a"
    make_run(run, step=10, checkpoint=False)
    assert described(run).status == runs.HALF
    making.hold(run)
    found = described(run)
    assert (found.status, found.step) == (runs.RUNNING, 10)
    assert found.reason.startswith(f"step 10 of 20, process {os.getpid()} on ")
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    making.hold(run, done.pid)  # of a process that has ended
    assert described(run).status == runs.HALF
    making.hold(run, done.pid, "elsewhere")  # it may live
    assert described(run).status == runs.RUNNING
    for path in run.iterdir():
        os.utime(path, (1e9, 1e9))
    assert described(run).status == runs.HALF  # it has not written for years


def test_a_run_that_ended_before_its_last_step_is_stopped(tmp_path):
    make_run(tmp_path / "a", config_of(steps=40))
    found = described(tmp_path / "a")
    assert (found.status, found.has_samples) == (runs.STOPPED, True)
    assert found.reason.startswith("at step 20 of 40")


def _cut(run):
    config = run / "config.json"
    config.write_bytes(config.read_bytes()[:50])


def _other_version(run):
    contents = json.loads((run / "config.json").read_text())
    contents["versions"]["gan_jax"] = "9.9"
    contents["flags"]["a_new_one"] = 3
    (run / "config.json").write_text(json.dumps(contents))


def _other_flags(run):
    contents = json.loads((run / "config.json").read_text())
    contents["flags"]["a_new_one"] = 3
    (run / "config.json").write_text(json.dumps(contents))


def _no_lines(run):
    (run / "metrics.jsonl").write_text("nothing\n")


def _no_settings(run):
    (run / "config.json").unlink()


def _no_checkpoint(run):
    shutil.rmtree(run / "checkpoints")


def _no_object(run):
    (run / "config.json").write_text("[]")


CASES = {
    "cut off": (_cut, runs.DAMAGED, "config.json is damaged"),
    "another version": (_other_version, runs.OTHER, "of gan_jax 9.9, and this is"),
    "settings that nobody knows": (_other_flags, runs.DAMAGED, "a_new_one"),
    "metrics": (_no_lines, runs.DAMAGED, "metrics.jsonl is damaged"),
    "no settings": (_no_settings, runs.HALF, "has no config.json"),
    "no checkpoint": (_no_checkpoint, runs.HALF, "before its first checkpoint"),
    "no object": (_no_object, runs.DAMAGED, "config.json is damaged"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_with_a_run_is_said_in_a_line(run, case):
    harm, status, words = CASES[case]
    harm(run)
    found = described(run)
    assert (found.status, found.has_samples) == (status, False)
    assert words in found.reason
    assert len(found.reason.splitlines()) == 1


def test_a_run_that_is_deleted_breaks_nothing(run):
    make_run(run.parent / "b")
    shutil.rmtree(run)
    assert described(run).config is None
    assert [found.name for found in runs.describe_all(run.parent)] == ["b"]


def test_a_run_is_read_again_only_where_its_files_have_changed(run, monkeypatch):
    reads = []
    read = configuration.read_config
    monkeypatch.setattr(
        configuration, "read_config", lambda folder: reads.append(1) or read(folder)
    )
    for _ in range(3):
        described(run)
    assert len(reads) <= 1
    making.log(run, [5, 10])
    assert described(run).step == 10
    assert len(reads) <= 2


def test_those_that_changed_last_come_first(run):
    make_run(run.parent / "b")
    for path in run.iterdir():
        os.utime(path, (2e9, 2e9))
    assert [found.name for found in runs.describe_all(run.parent)] == ["a", "b"]


def _told_of(run, **flags):
    contents = json.loads((run / "config.json").read_text())
    contents["flags"] |= flags
    (run / "config.json").write_text(json.dumps(contents))


def _endless_process(run):
    shutil.rmtree(run / "checkpoints")
    making.log(run, [5])
    (run / ".lock").write_text('{"process": Infinity, "host": "x"}')


def _circle(run):
    link = run.parent.parent / "circle.py"
    link.symlink_to(link)
    _told_of(run, loss=f"{link}:LOSS")


STRANGE = {
    "an endless process": (_endless_process, runs.HALF),
    "nobody's home": (lambda run: _told_of(run, loss="~no_x/a.py:L"), runs.DONE),
    "a zero": (lambda run: _told_of(run, loss="a\0.py:L"), runs.DONE),
    "half a letter": (lambda run: _told_of(run, loss="\ud800.py:L"), runs.DONE),
    "a circle": (_circle, runs.DONE),
    "a name": (lambda run: run.rename(run.parent / "caf\udce9"), runs.REFUSED),
}


@pytest.mark.parametrize("case", STRANGE)
def test_a_run_that_is_strange_leaves_the_others_to_be_seen(tmp_path, case):
    root = tmp_path / "runs"
    make_run(root / "good")
    make_run(root / "strange")
    harm, status = STRANGE[case]
    harm(root / "strange")
    found = {run.name: run for run in runs.describe_all(root)}
    assert found.pop("good").status == runs.DONE
    [(name, run)] = found.items()
    assert run.status == status
    assert name == ("caf\\udce9" if case == "a name" else "strange")
    pytest.importorskip("gradio")
    from experiments.explorer import page
    from experiments.explorer import runs as cards

    found = runs.describe_all(root)
    text = cards._cards(page.Shared(root, False), found).encode().decode()
    assert "<h3>good</h3>" in text
    assert "strange" in text or "udce9" in text
    for row in map(cards._row, found):
        "".join(map(str, row)).encode()
