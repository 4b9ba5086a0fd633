"""The run folder: what is accepted, what is refused, and what comes back."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import chex
import jax
import pytest

from gan_jax import networks, parallel, recipes, runs, training
from gan_jax.errors import UserError

CONFIG = runs.Config(
    recipe=recipes.recipe("wasserstein_gp", ema_decay=0.9, batch_size=8),
    dataset="garments",
    seed=3,
    steps=20,
)


@pytest.fixture
def run(tmp_path):
    """A folder that holds a run."""
    folder = tmp_path / "run"
    runs.prepare(folder, CONFIG, overwrite=False)
    runs.write_config(folder, CONFIG, source="drawn")
    return folder


def everything_in(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files}


def refuses(words, folder, config=CONFIG, **how):
    """`prepare` fails in one line with those words, and changes nothing."""
    before = everything_in(folder.parent)
    with pytest.raises(UserError, match=words) as caught:
        runs.prepare(folder, config, overwrite=how.get("overwrite", False))
    assert "\n" not in str(caught.value)
    assert everything_in(folder.parent) == before


def test_a_config_is_read_back_as_it_was_written(run):
    assert runs.read_config(run) == CONFIG
    contents = json.loads((run / "config.json").read_text())
    assert contents["source"] == "drawn"
    assert contents["versions"]["jax"] == jax.__version__
    assert contents["devices"]["platform"] == jax.devices()[0].platform


def test_a_run_may_go_on_and_may_go_on_for_longer(run):
    runs.prepare(run, CONFIG, overwrite=False)
    runs.prepare(run, dataclasses.replace(CONFIG, steps=40), overwrite=False)


def test_another_configuration_is_refused_by_the_flags_that_differ(run):
    other = dataclasses.replace(CONFIG, seed=4, recipe=recipes.recipe("hinge"))
    refuses(
        "--loss=wasserstein_gp there and hinge now.*--seed=3 there and 4", run, other
    )


def test_fewer_steps_than_are_trained_are_refused(run):
    (run / "checkpoints" / "15").mkdir(parents=True)
    refuses(
        "trained up to step 15.*--steps=10", run, dataclasses.replace(CONFIG, steps=10)
    )
    runs.prepare(run, CONFIG, overwrite=False)


def test_overwriting_deletes_the_run_and_nothing_else(run):
    (run / "metrics.jsonl").write_text("{}\n")
    (run / "events.out.tfevents.1").write_text("")
    (run / "checkpoints" / "5").mkdir(parents=True)
    (run / "notes.txt").write_text("mine")
    other = dataclasses.replace(CONFIG, seed=4)
    runs.prepare(run, other, overwrite=True)
    assert sorted(p.name for p in run.iterdir()) == ["notes.txt"]


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
        runs.prepare(pathlib.Path("/proc/no/run"), CONFIG, overwrite=False)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"flags": {}}', '{"flags": {"loss": "hinge"}}', "\0"]
)
def test_a_damaged_config_is_refused_by_name(run, text):
    (run / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json is damaged.*--overwrite"):
        runs.read_config(run)


def test_a_folder_without_a_run_says_how_to_train_one(tmp_path):
    with pytest.raises(UserError, match=r"no run in .*experiments\.train --workdir"):
        runs.read_config(tmp_path)


# Metrics


def line(step):
    return {"step": step, "seconds": step / 10, "d_loss": 1.0}


def test_a_log_that_goes_on_after_a_step_has_no_gap_and_no_duplicate(tmp_path):
    log = runs.MetricsLog(tmp_path, 0)
    for step in (10, 20, 30):  # and a first sitting that died after step 30
        log.write(line(step))
    log.close()
    log = runs.MetricsLog(tmp_path, 20)
    assert log.seconds == 2.0
    log.write(line(30))
    log.write(line(40))
    log.close()
    assert [entry["step"] for entry in runs.read_metrics(tmp_path)] == [10, 20, 30, 40]


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    text = json.dumps(line(10)) + "\n" + json.dumps(line(20))[:-4]
    (tmp_path / "metrics.jsonl").write_text(text)
    assert runs.read_metrics(tmp_path) == [line(10)]


def test_a_damaged_line_before_the_last_is_refused_and_not_rewritten(tmp_path):
    lines = [json.dumps(line(10)), '{"step": 2', json.dumps(line(30)), ""]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"metrics\.jsonl is damaged"):
        runs.MetricsLog(tmp_path, 30)
    assert (tmp_path / "metrics.jsonl").read_text() == "\n".join(lines)


def test_no_metrics_are_an_empty_list(tmp_path):
    assert runs.read_metrics(tmp_path) == []


def test_tensorboard_events_hold_the_same_numbers(tmp_path):
    log = runs.MetricsLog(tmp_path, 0)
    log.write(line(10))
    log.close()
    (events,) = tmp_path.glob("events.out.*")
    assert b"d_loss" in events.read_bytes()


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "config.json"
    runs.write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        runs.write_text(path, "new \ud800")
    assert path.read_text() == "old"


# Checkpoints


@pytest.fixture(scope="module")
def gan():
    return recipes.make_gan(
        recipes.recipe("wasserstein_gp", latent_size=3, ema_decay=0.9),
        generator=networks.MLPGenerator(hidden=(4,)),
        discriminator=networks.MLPDiscriminator(hidden=(4,)),
    )


def numbers(state):
    return state.replace(key=jax.random.key_data(state.key))


def test_a_state_comes_back_bit_for_bit_and_the_newest_two_are_kept(tmp_path, gan):
    states = [training.init_state(gan, jax.random.key(i), (2,)) for i in range(4)]
    checkpoints = runs.Checkpoints(tmp_path)
    assert checkpoints.latest() is None
    for i in (1, 2, 3):
        checkpoints.save(10 * i, states[i].replace(step=states[i].step + 10 * i))
    checkpoints.close()
    again = runs.Checkpoints(tmp_path)
    assert again.latest() == 30
    restored = again.restore(states[0])
    again.close()
    expected = states[3].replace(step=states[3].step + 30)
    chex.assert_trees_all_equal(numbers(restored), numbers(expected))
    chex.assert_trees_all_equal_dtypes(numbers(restored), numbers(expected))
    kept = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert kept == ["20", "30"]


def test_a_state_of_eight_devices_is_read_where_there_is_one(tmp_path, gan):
    state = parallel.initialise(gan, jax.random.key(0), (2,), jax.devices())
    checkpoints = runs.Checkpoints(tmp_path)
    checkpoints.save(10, state)
    checkpoints.close()
    code = f"""
import jax, pathlib
from gan_jax import networks, recipes, runs, training
gan = recipes.make_gan(
    recipes.recipe("wasserstein_gp", latent_size=3, ema_decay=0.9),
    generator=networks.MLPGenerator(hidden=(4,)),
    discriminator=networks.MLPDiscriminator(hidden=(4,)),
)
like = jax.eval_shape(lambda: training.init_state(gan, jax.random.key(0), (2,)))
state = runs.Checkpoints(pathlib.Path({str(tmp_path)!r})).restore(like)
print(len(jax.devices()), state.generator.params["Dense_0"]["kernel"].sum())
"""
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    devices, total = done.stdout.split()
    assert devices == "1"
    expected = state.generator.params["Dense_0"]["kernel"].sum()
    assert float(total) == pytest.approx(float(expected), rel=1e-6)


def test_a_damaged_checkpoint_is_refused_by_name(tmp_path, gan):
    state = training.init_state(gan, jax.random.key(0), (2,))
    checkpoints = runs.Checkpoints(tmp_path)
    checkpoints.save(10, state)
    checkpoints.close()
    for path in (tmp_path / "checkpoints" / "10").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    damaged = runs.Checkpoints(tmp_path)
    with pytest.raises(UserError, match=r"checkpoint 10 in .*--overwrite") as caught:
        damaged.restore(state)
    damaged.close()
    assert "\n" not in str(caught.value)
