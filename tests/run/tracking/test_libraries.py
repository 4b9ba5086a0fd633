"""Real runs in trackio, wandb (offline) and MLflow (SQLite), and what is in them after.

Needs the extra ``track``: ./launch.sh setup track.
"""

import json
import os
import signal

import pytest

from gan_jax.run import checkpoints, configuration
from gan_jax.run.metrics_log import read_metrics
from gan_jax.run.tracking import trackers
from tests.processes.running import Process, data_flags, lines_in, wait_until
from tests.run.tracking.reading import event_values, trackio_rows, wandb_rows

NAMES = [name for name in trackers.TRACKERS if name not in trackers.DEFAULT]
for _needed in (*NAMES, "sqlalchemy"):
    pytest.importorskip(_needed, reason="pip install 'gan_jax[track]'")
pytestmark = pytest.mark.track

FLAGS = ("--batch_size=8", "--log_every=50", "--sample_every=100")
FLAGS += (f"--track={','.join(NAMES)}", *data_flags())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where processes are started, and the variables that they get."""
    place = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("WANDB_", "MLFLOW_", "TRACKIO_", "HF_")):
                patch.delenv(name)
        home = {"HOME": str(place), "TRACKIO_DIR": str(place / "trackio")}
        yield place, {**home, "JAX_NUM_CPU_DEVICES": "1", "cwd": place}


def train(folder, how, *flags):
    argv = ["experiments.train", f"--workdir={folder}", *FLAGS, *flags]
    return Process(argv, **how)


@pytest.fixture(scope="module")
def sittings(place):
    """A run that SIGTERM ends when all records are open, and one that goes on."""
    place, how = place
    folder = place / "run"
    many = ("--checkpoint_every=2000000000", "--steps=2000000000")
    process = train(folder, how, *many)
    wait_until(
        lambda: (
            (folder / trackers.IDS).exists()
            and len(trackers.read_ids(folder)) == len(NAMES)
            and lines_in(folder) >= 2
        ),
        process,
    )
    process.send_signal(signal.SIGTERM)
    first = process.end()
    assert first[0] == 143, first
    ids = trackers.read_ids(folder)
    saved = checkpoints.newest(folder)
    statuses = [mlflow_run(place, ids).info.status]
    second = train(folder, how, many[0], f"--steps={saved + 130}").end()
    assert second[0] == 0, second
    statuses.append(mlflow_run(place, ids).info.status)
    return place, folder, ids, saved, statuses, (first, second)


def client(place):
    import mlflow

    return mlflow.MlflowClient(f"sqlite:///{place / 'mlflow.db'}")


def mlflow_run(place, ids):
    return client(place).get_run(ids["mlflow"])


def offline_runs(place, ids):
    """wandb's folders of a run, a sitting each, from the first."""
    return sorted((place / "wandb").glob(f"offline-run-*-{ids['wandb']}"))


def losses(folder):
    return [(line["step"], line["d_loss"]) for line in read_metrics(folder)]


def test_a_run_in_two_sittings_is_one_record_with_all_of_its_metrics(sittings):
    place, folder, ids, *_ = sittings
    assert trackers.read_ids(folder) == ids
    expected = losses(folder)
    history = client(place).get_metric_history(ids["mlflow"], "d_loss")
    assert sorted((m.step, m.value) for m in history) == expected
    (only,) = client(place).search_runs(
        [client(place).get_experiment_by_name("gan_jax").experiment_id]
    )
    assert only.info.run_id == ids["mlflow"]
    assert only.info.run_name == "run"
    rows, _ = trackio_rows(place / "trackio")
    assert [*rows] == [ids["trackio"]]
    assert ids["trackio"].startswith("run-")
    found = [
        (step, row["d_loss"]) for step, row in rows[ids["trackio"]] if len(row) > 2
    ]
    assert found == expected
    first, second = offline_runs(place, ids)
    rows = [row for folder in (first, second) for row in wandb_rows(folder)[0]]
    found = [(row["step"], row["d_loss"]) for row in rows if "d_loss" in row]
    assert found == expected


def test_a_record_has_the_settings_by_the_names_of_their_flags(sittings):
    place, folder, ids, saved, *_ = sittings
    config = configuration.read_config(folder).flags() | {"workdir": str(folder)}
    _, configs = trackio_rows(place / "trackio")
    there = configs[ids["trackio"]]
    assert {name: there[name] for name in config} == config
    _, there, _ = wandb_rows(offline_runs(place, ids)[-1])
    assert {name: there[name] for name in config} == config
    data = mlflow_run(place, ids).data
    changed = {"steps": "2000000000"}  # a parameter stays; the new value is a tag
    expected = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in config.items()
    }
    assert data.params == expected | changed
    assert data.tags["steps"] == str(saved + 130)


def test_a_record_has_the_real_images_and_every_grid_of_samples(sittings):
    place, folder, ids, *_ = sittings
    grids = [
        int(path.stem.removeprefix("step_"))
        for path in sorted((folder / "samples").iterdir())
    ]
    assert len(grids) >= 2
    expected = [("real", 0), *(("samples", step) for step in grids)]
    found = []
    rows, _ = trackio_rows(place / "trackio")
    for step, row in rows[ids["trackio"]]:
        for name, value in row.items():
            if isinstance(value, dict):
                found.append((name, step))
                stored = place / "trackio" / "media" / value["file_path"]
                assert stored.stat().st_size > 100
    assert found == expected
    found = []
    for sitting in offline_runs(place, ids):
        for row in wandb_rows(sitting)[0]:
            kinds = {name.partition("/")[0] for name in row}
            for name in sorted(kinds & {"real", "samples"}):
                found.append((name, row["step"]))
        assert [*sitting.glob("files/media/images/samples_*.png")]
    assert found == expected
    files = client(place).list_artifacts(ids["mlflow"], "images")
    pictures = [f.path.split("/")[-1] for f in files if f.path.endswith(".png")]
    found = sorted((p.split("+")[0], int(p.split("+")[2])) for p in pictures)
    assert found == sorted(expected)


def test_a_run_that_a_signal_ends_closes_its_records(sittings):
    place, _, ids, _, statuses, _ = sittings
    assert statuses == ["KILLED", "FINISHED"]
    exits = [wandb_rows(folder)[2] for folder in offline_runs(place, ids)]
    assert exits == [[1], [0]]


def test_a_run_says_in_one_line_where_a_record_is_and_how_to_look_at_it(sittings):
    place, _, ids, _, _, results = sittings
    for (_, stdout, _), run in zip(results, offline_runs(place, ids), strict=True):
        said = stdout.splitlines()
        assert f"wandb (offline, without an API key): {run}" in "".join(said)
        store = f"sqlite:///{place / 'mlflow.db'}"
        assert (
            f"mlflow: run {ids['mlflow']} in {store}; to look at it: mlflow ui"
            f" --backend-store-uri {store}"
        ) in said
        assert any(f"logged to: {place / 'trackio'}" in line for line in said)
        assert not any("warning" in line for line in said)
    assert results[1][2] == ""


@pytest.fixture(scope="module")
def twice(place):
    """Of a run whose last steps were taken twice, and that was measured."""
    place, how = place
    key = {"WANDB_API_KEY": 40 * "a", "WANDB_BASE_URL": "http://localhost:1"}
    argv = ["tests.run.tracking.twice", place / "twice"]
    status, stdout, stderr = Process(argv, **how, **key, WANDB_INIT_TIMEOUT="1").end()
    assert status == 0, stderr
    return place, json.loads(stdout.splitlines()[-1]), stdout


def test_steps_that_are_taken_twice_are_there_twice_and_measures_follow(twice):
    place, ids, _ = twice
    steps = [10, 20, 30, 30, 40]
    history = client(place).get_metric_history(ids["mlflow"], "d_loss")
    assert sorted(m.step for m in history) == steps
    rows, _ = trackio_rows(place / "trackio")
    assert [s for s, row in rows[ids["trackio"]] if "d_loss" in row] == steps
    rows = [row for run in offline_runs(place, ids) for row in wandb_rows(run)[0]]
    assert [row["step"] for row in rows if "d_loss" in row] == steps


def test_what_was_measured_is_in_the_same_record(twice):
    place, ids, _ = twice
    expected = {"evaluation/fcd": 12.5, "evaluation/modes": 9}
    run = mlflow_run(place, ids)
    assert {k: v for k, v in run.data.metrics.items() if "evalu" in k} == expected
    assert run.info.status == "FINISHED"
    rows, _ = trackio_rows(place / "trackio")
    (step, row), (_, picture) = rows[ids["trackio"]][-2:]
    assert (step, row) == (30, expected)
    assert "evaluation/neighbours" in picture
    row = wandb_rows(offline_runs(place, ids)[-1])[0][0]
    assert {name: row[name] for name in expected} == expected
    assert row["step"] == 30
    # TensorBoard drops nothing of the steps behind the one that was measured.
    losses = [step for step, _ in event_values(place / "twice", "d_loss")]
    assert losses == [10, 20, 30, 40]
    assert event_values(place / "twice", "evaluation/fcd") == [(30, 12.5)]


def test_where_wandbs_server_does_not_answer_its_record_is_kept_offline(twice):
    place, ids, stdout = twice
    assert len(offline_runs(place, ids)) == 3
    assert stdout.count("wandb (offline, since its server does not answer)") == 2
    assert "fails" not in stdout
