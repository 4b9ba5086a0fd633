"""Reports of made-up studies: what is shown of few, of many, and of stopped GANs."""

import json
import os
import re
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

from experiments.common import study_figure, study_report
from gan_jax.study import ledger
from tests.study import made_up

RATE, OTHER = "generator_lr:1e-4..1e-2:log", "discriminator_lr:1e-4..1e-2:log"
GARMENTS = types.SimpleNamespace(name="garments", warning=None)


def publish(folder, capsys, axes, **more):
    runs, drawn, rows = made_up.study(axes, **more)
    study_report.publish(
        folder, rows, runs, drawn, GARMENTS, "cpu", 0.54, {"recipe": "tuned"}
    )
    said = capsys.readouterr().out
    return rows, said, json.loads((folder / "results.json").read_text())


def table(said):
    """The cells of the rows."""
    lines = said.splitlines()
    ends = ("best", "the ", "training ")
    end = next(i for i, line in enumerate(lines) if line.startswith(ends))
    return [re.split("  +", line) for line in lines[2:end]]


def figure_of(axes, **more):
    """The figure, all settings shown."""
    runs, drawn, rows = made_up.study(axes, **more)
    groups = {}
    for run, row in zip(runs, rows, strict=True):
        groups.setdefault(run.group(), []).append(row)
    return study_figure.draw(groups, list(groups), drawn), rows


def points(axes):
    """How many markers stand in a panel."""
    return sum(
        len(line.get_xdata()) for line in axes.lines if line.get_marker() in (".", "x")
    )


def test_of_few_settings_all_are_in_the_table_in_the_order_of_the_sweep(
    tmp_path, capsys
):
    _, said, results = publish(tmp_path, capsys, f"{RATE}:5,seed:0..1")
    rates = [cells[1] for cells in table(said)]
    assert rates == [f"generator_lr={v:.6g}" for v in np.geomspace(1e-4, 1e-2, 5)]
    assert "more are in results.json" not in said
    assert len(results["gans"]) == 10
    assert "training images have FCD 0.5\n" in said
    assert results["floor"] == {"fcd": 0.54}
    assert "stopped" not in said


def test_of_many_settings_the_best_are_in_the_table_and_all_in_the_results(
    tmp_path, capsys
):
    _, said, results = publish(tmp_path, capsys, f"{RATE}:25,{OTHER}:2,seed:0..2")
    medians = [float(cells[6]) for cells in table(said)]
    assert len(medians) == study_report._SHOWN
    assert medians == sorted(medians)
    assert "the 30 best of 50 settings, by their median: 20 more are in" in said
    assert len(results["groups"]) == 50
    others = [g["quantiles"][1] for g in results["groups"]]
    assert max(medians) <= sorted(others)[30] + 0.05  # of the rounding


def test_of_more_gans_than_a_thousand_none_is_in_the_results(tmp_path, capsys):
    rows, _, results = publish(tmp_path, capsys, f"{RATE}:24,seed:0..49")
    assert len(rows) == 1200
    assert "gans" not in results
    assert results["note"] == "each of the 1200 GANs is in runs.jsonl"
    assert sum(group["gans"] for group in results["groups"]) == 1200


def test_the_number_of_stopped_gans_has_a_column_where_there_are_any(tmp_path, capsys):
    rows, said, results = publish(tmp_path, capsys, f"{RATE}:3,seed:0..29", halved=True)
    assert re.search("GANs +stopped", said)
    stopped = [int(cells[3]) for cells in table(said)]
    assert sum(stopped) == sum(map(ledger.is_stopped, rows)) == 80
    assert [group["stopped"] for group in results["groups"]] == stopped
    best = min(
        (row for row in rows if not ledger.is_stopped(row)),
        key=lambda row: row["fcd_train"],
    )
    assert f"best hinge: FCD {best['fcd']:.1f}; alone" in said


def test_a_line_says_where_a_gan_was_stopped():
    _, _, [row] = made_up.study("seed:0")
    assert "stopped" not in study_report.line(row)
    assert "  stopped at step 100" in study_report.line(row | {"steps": 100})
    words = study_report.command(row | {"steps": 100}, {})
    assert f"--steps={made_up.STEPS}" in words


def test_few_gans_are_drawn_each():
    figure, rows = figure_of(f"{RATE},seed:0..4", losses=("hinge", "kl"))
    each, _, against = figure.axes
    known = sum(row["fcd"] is not None for row in rows)
    collapsed = any(row["collapsed"] for row in rows)
    assert points(each) == points(against) == known
    assert ("collapsed" in each.get_legend_handles_labels()[1]) == collapsed


def test_of_many_gans_some_are_drawn_and_their_number_is_said():
    figure, rows = figure_of(f"{RATE},seed:0..2999")
    each, best, against = figure.axes
    assert points(each) <= study_figure._POINTS
    assert f"(points: {study_figure._POINTS} of each)" in each.get_xlabel()
    assert points(against) == 0
    [density] = against.collections
    known = sum(row["fcd"] is not None for row in rows)
    assert np.nansum(density.get_array() ** 2) == pytest.approx(known)
    [curve] = best.lines
    assert curve.get_xdata()[-1] == len(rows)
    assert curve.get_ydata()[-1] == min(row["fcd"] for row in rows if row["fcd"])


def test_stopped_gans_are_pale_and_in_no_curve():
    figure, rows = figure_of(f"{RATE},seed:0..89", halved=True)
    each, best, _ = figure.axes
    done = [row["fcd"] for row in rows if not ledger.is_stopped(row) and row["fcd"]]
    stopped = [row["fcd"] for row in rows if ledger.is_stopped(row) and row["fcd"]]
    dots = [line for line in each.lines if line.get_marker() == "."]
    large, small = [line for line in dots if len(line.get_xdata())]
    assert list(large.get_xdata()) == sorted(done)
    assert list(small.get_xdata()) == sorted(stopped)
    assert small.get_alpha() < large.get_alpha()
    assert small.get_markersize() < large.get_markersize()
    [curve] = best.lines
    assert curve.get_xdata()[-1] == len(done)
    assert curve.get_ydata()[0] == pytest.approx(np.mean(done))


def test_a_study_without_a_single_distance_has_a_figure(tmp_path, capsys):
    runs, drawn, rows = made_up.study(f"{RATE},seed:0..2")
    lost = {"fcd": None, "fcd_train": None, "collapsed": True}
    rows = [row | lost for row in rows]
    study_report.publish(tmp_path, rows, runs, drawn, GARMENTS, "cpu", 0.5, {})
    assert (tmp_path / "study.png").exists()
    assert "best" not in capsys.readouterr().out.partition("\n---")[2]


THOUSANDS = {
    "settings": f"{RATE}:10,{OTHER}:10,seed:0..99",
    "drawn": f"{RATE},{OTHER},seed:0..9999",
}
PROGRAM = """
import json, pathlib, sys, time, types
from experiments.common import study_report
from gan_jax.study import ledger
from tests.study import made_up

folder, axes = pathlib.Path(sys.argv[1]), sys.argv[2]
runs, drawn, rows = made_up.study(axes)
begun = time.perf_counter()
for i in range(0, len(rows), 32):
    ledger.append(folder, rows[i : i + 32])
appended = time.perf_counter() - begun
assert list(ledger.read(folder).values()) == rows
begun = time.perf_counter()
ledger.write(folder, rows)
images = types.SimpleNamespace(name="garments", warning=None)
study_report.publish(folder, rows, runs, drawn, images, "cpu", 0.5, {})
published = time.perf_counter() - begun
# Not of getrusage, which counts the process that has started this one as well.
status = pathlib.Path("/proc/self/status").read_text().splitlines()
[most] = [int(line.split()[1]) / 2**10 for line in status if line[:6] == "VmHWM:"]
cpu = time.process_time()
print(json.dumps({"append": appended, "publish": published, "CPU": cpu, "MB": most}))
"""


@pytest.mark.skipif(
    not os.path.exists("/proc/self/status"), reason="Linux says how much memory it was"
)
@pytest.mark.slow
@pytest.mark.parametrize("kind", THOUSANDS)
def test_ten_thousand_gans_need_little_memory(kind, tmp_path, capfd):
    """The times are printed, and not asserted: machines are shared."""
    words = [sys.executable, "-c", PROGRAM, str(tmp_path), THOUSANDS[kind]]
    where = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(words, env=where, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    needed = json.loads(done.stdout.splitlines()[-1])
    with capfd.disabled():
        print(f"\n10,000 GANs, {kind}: {needed}")
    assert needed["MB"] < 500
    results = json.loads((tmp_path / "results.json").read_text())
    assert "gans" not in results
    assert results["note"] == "each of the 10000 GANs is in runs.jsonl"
    assert sum(group["gans"] for group in results["groups"]) == 10_000
    assert len((tmp_path / ledger.TABLE).read_text().splitlines()) == 10_001
    with Image.open(tmp_path / "study.png") as image:
        assert max(image.size) < 2000
        assert np.asarray(image.convert("L")).std() > 10
