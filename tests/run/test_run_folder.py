"""The run folder: what is accepted, what is refused, and what comes back."""

import dataclasses
import json
import pathlib
import signal

import jax
import numpy as np
import pytest

from gan_jax import recipes
from gan_jax.data import Dataset
from gan_jax.errors import UserError
from gan_jax.run import configuration, run_folder
from gan_jax.system import files, processor
from tests.processes.running import Process, wait_until

CONFIG = configuration.Config(
    recipe=recipes.recipe("wasserstein_gp", ema_decay=0.9, batch_size=8),
    dataset="garments",
    seed=3,
    steps=20,
)


@pytest.fixture
def run(tmp_path):
    """A folder that holds a run."""
    folder = tmp_path / "run"
    run_folder.prepare(folder, CONFIG, overwrite=False)
    configuration.write_config(folder, CONFIG, source="drawn")
    return folder


def everything_in(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files}


def refuses(words, folder, config=CONFIG, **how):
    """`prepare` fails in one line with those words, and changes nothing."""
    before = everything_in(folder.parent)
    with pytest.raises(UserError, match=words) as caught:
        run_folder.prepare(folder, config, overwrite=how.get("overwrite", False))
    assert "\n" not in str(caught.value)
    assert everything_in(folder.parent) == before


def test_a_config_is_read_back_as_it_was_written(run):
    assert configuration.read_config(run) == CONFIG
    contents = json.loads((run / "config.json").read_text())
    assert contents["source"] == "drawn"
    assert contents["versions"]["jax"] == jax.__version__
    platform = jax.devices()[0].platform
    assert contents["devices"]["platform"] == platform
    assert processor.describe(platform).items() <= contents["devices"].items()


def test_a_run_may_go_on_and_may_go_on_for_longer(run):
    run_folder.prepare(run, CONFIG, overwrite=False)
    run_folder.prepare(run, dataclasses.replace(CONFIG, steps=40), overwrite=False)


def test_another_configuration_is_refused_by_the_flags_that_differ(run):
    other = dataclasses.replace(CONFIG, seed=4, recipe=recipes.recipe("hinge"))
    refuses(
        "--loss=wasserstein_gp there and hinge now.*--seed=3 there and 4", run, other
    )


def test_every_setting_is_written_and_a_run_of_before_there_were_all_is_the_same(run):
    contents = json.loads((run / "config.json").read_text())
    recipe = {field.name for field in dataclasses.fields(CONFIG.recipe)}
    rest = {"dataset", "seed", "steps", "num_examples"}
    rest |= {"shape", "sources", "init_from"}
    assert {*contents["flags"]} == recipe | rest  # and of a conditional one, classes
    later = {"network", "width", "spectral_norm", "schedule", "mirror", "augment"}
    later.add("ema_grows_from")
    for name in {*later, "shape", "sources", "init_from"}:
        del contents["flags"][name]
    (run / "config.json").write_text(json.dumps(contents))
    assert configuration.read_config(run) == CONFIG
    run_folder.prepare(run, CONFIG, overwrite=False)


@pytest.mark.parametrize("conditional", [False, True])
def test_classes_are_a_setting_of_conditional_runs_alone(conditional):
    images = np.zeros((3, 28, 28, 1), np.uint8)
    dataset = Dataset("npy-0", images, np.arange(3), ("a", "b", "c"), "made up")
    recipe = recipes.recipe("hinge", conditional=conditional)
    config = configuration.Config.of(recipe, dataset, 0, 9)
    assert config.flags().get("num_classes") == (3 if conditional else None)
    assert config.make_gan().num_classes == (3 if conditional else None)


def test_images_of_another_shape_or_other_classes_are_refused(run, tmp_path):
    colour = dataclasses.replace(CONFIG, shape=(32, 32, 3), num_classes=3)
    refuses(r"--shape=\[28, 28, 1\] there and \[32, 32, 3\] now", run, colour)
    refuses("--num_classes=10 there and 3 now", run, colour)
    run_folder.prepare(tmp_path / "colour", colour, overwrite=False)
    configuration.write_config(tmp_path / "colour", colour)
    assert configuration.read_config(tmp_path / "colour") == colour
    refuses(
        r"--shape=\[32, 32, 3\] there and \[28, 28, 1\] now",
        tmp_path / "colour",
        CONFIG,
    )


def test_fewer_steps_than_are_trained_are_refused(run):
    (run / "checkpoints" / "15").mkdir(parents=True)
    refuses(
        "trained up to step 15.*--steps=10", run, dataclasses.replace(CONFIG, steps=10)
    )
    run_folder.prepare(run, CONFIG, overwrite=False)


def test_overwriting_deletes_the_run_and_nothing_else(run):
    (run / "metrics.jsonl").write_text("{}\n")
    (run / "events.out.tfevents.1").write_text("")
    (run / "trackers.json").write_text("{}\n")
    (run / "generator.npz").write_text("")
    (run / "checkpoints" / "5").mkdir(parents=True)
    (run / "notes.txt").write_text("mine")
    other = dataclasses.replace(CONFIG, seed=4)
    run_folder.prepare(run, other, overwrite=True)
    # What makes the folder a run stays until it is replaced, so that this can be
    # broken off at any moment and repeated.
    assert sorted(p.name for p in run.iterdir()) == ["config.json", "notes.txt"]
    run_folder.prepare(run, other, overwrite=True)
    configuration.write_config(run, other)
    assert configuration.read_config(run) == other


@pytest.mark.parametrize(
    "config", [{"model_type": "bert"}, [1], {"study": {}, "flags": {}}]
)
def test_what_another_program_has_left_is_not_overwritten(tmp_path, config):
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "mine.wav").write_text("")
    before = everything_in(tmp_path)
    refuses("something else than a run", tmp_path, overwrite=True)
    assert everything_in(tmp_path) == before


def test_a_folder_of_other_files_is_refused_even_to_overwrite(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    refuses(r"files and no run \(thesis.tex", tmp_path)
    refuses(r"files and no run \(thesis.tex", tmp_path, overwrite=True)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    refuses("is a file", tmp_path / "file")
    refuses("cannot write", tmp_path / "file" / "inside")


def test_a_folder_that_cannot_be_made_is_refused():
    with pytest.raises(UserError, match="cannot write to --workdir"):
        run_folder.prepare(pathlib.Path("/proc/no/run"), CONFIG, overwrite=False)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"flags": {}}', '{"flags": {"loss": "hinge"}}', "\0"]
)
def test_a_damaged_config_is_refused_by_name(run, text):
    (run / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json is damaged.*--overwrite"):
        configuration.read_config(run)


def test_a_folder_without_a_run_says_how_to_train_one(tmp_path):
    with pytest.raises(UserError, match=r"no run in .*experiments\.train --workdir"):
        configuration.read_config(tmp_path)


# The lock

HOLD = """
import pathlib, sys, time
from gan_jax.run import run_folder
with run_folder.lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(10**6)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that trains in a folder."""
    code = ["tests.processes.run_code", HOLD, tmp_path / "run"]
    process = Process(code, small=False)
    wait_until(lambda: process.said("stdout") == "held\n", process)
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.end()


def test_a_folder_is_held_by_one_process_at_a_time(tmp_path, holder):
    with (
        pytest.raises(UserError, match=rf"by process {holder.pid} on \S+ since \S+ \("),
        run_folder.lock(tmp_path / "run"),
    ):
        pass


def test_a_process_that_was_killed_holds_nothing_and_its_half_files_go(
    tmp_path, holder
):
    halves = []
    for name in ("", "samples", "wave", "rung"):
        (tmp_path / "run" / name).mkdir(exist_ok=True)
        halves.append(files.part_of(tmp_path / "run" / name / "a.npz", holder.pid))
        halves[-1].touch()
    mine = tmp_path / "run" / "thesis.part"
    mine.write_text("not ours")
    holder.send_signal(signal.SIGKILL)
    holder.end()
    with run_folder.lock(tmp_path / "run"):
        assert not any(half.exists() for half in halves)
        for half in halves[1:]:
            half.parent.rmdir()
        assert mine.exists()
        run_folder.prepare(tmp_path / "run", CONFIG, overwrite=False)


def test_a_folder_is_free_again_after_its_run(tmp_path):
    for _ in range(2):
        with run_folder.lock(tmp_path / "run"):
            pass


def test_who_holds_a_folder_may_be_unreadable(tmp_path):
    with run_folder.lock(tmp_path):
        (tmp_path / ".lock").write_text('{"process": 1}')
        with (
            pytest.raises(UserError, match="being trained in by another process: wait"),
            run_folder.lock(tmp_path),
        ):
            pass


def test_a_lock_that_is_another_file_leaves_that_file_alone(tmp_path):
    thesis = tmp_path / "thesis.tex"
    thesis.write_text("years of work")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").hardlink_to(thesis)
    with run_folder.lock(tmp_path / "run"):
        pass
    assert thesis.read_text() == "years of work"
    (tmp_path / "run" / ".lock").unlink()
    (tmp_path / "run" / ".lock").symlink_to(thesis)
    with (
        pytest.raises(UserError, match="cannot lock"),
        run_folder.lock(tmp_path / "run"),
    ):
        pass


def test_a_half_file_of_a_process_that_lives_is_left_to_it(tmp_path, holder):
    half = files.part_of(tmp_path / "evaluation.json", holder.pid)
    half.write_text("{")
    with run_folder.lock(tmp_path):
        assert half.exists()


def test_overwriting_does_not_follow_links_out_of_the_folder(run, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "thesis.tex").write_text("years of work")
    (run / "checkpoints").symlink_to(elsewhere)
    run_folder.prepare(run, CONFIG, overwrite=True)
    assert (elsewhere / "thesis.tex").exists()
    assert not (run / "checkpoints").exists()


def test_a_study_is_no_damaged_run(tmp_path):
    (tmp_path / "config.json").write_text('{"study": {}, "flags": {}}')
    with pytest.raises(UserError, match="holds a study, and no run"):
        configuration.read_config(tmp_path)


def test_another_network_is_refused_by_its_name(run, tmp_path):
    recipe = dataclasses.replace(CONFIG.recipe, network="dcgan", width=8)
    other = dataclasses.replace(CONFIG, recipe=recipe)
    refuses(
        "--network=reference there and dcgan now, --width=not given there", run, other
    )
    place = tmp_path / "dcgan"
    run_folder.prepare(place, other, overwrite=False)
    configuration.write_config(place, other)
    assert configuration.read_config(place) == other
    refuses("--network=dcgan there and reference now", place, CONFIG)


def test_a_scheduled_run_has_the_length_that_it_began_with(run, tmp_path):
    recipe = dataclasses.replace(CONFIG.recipe, schedule="cosine")
    scheduled = dataclasses.replace(CONFIG, recipe=recipe)
    place = tmp_path / "scheduled"
    run_folder.prepare(place, scheduled, overwrite=False)
    configuration.write_config(place, scheduled)
    run_folder.prepare(place, scheduled, overwrite=False)
    longer = dataclasses.replace(scheduled, steps=40)
    refuses("--steps=20 there and 40 now", place, longer)
