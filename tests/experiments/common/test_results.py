"""Every file of results says how, when, on what and with what it was made."""

import json
import sys

import jax
import pytest

from experiments.common import results
from gan_jax.system import processor


def test_results_name_command_date_machine_and_versions(monkeypatch):
    words = ["tune.py", "--gans=hinge", "--storage=redis://a:secret@b/0"]
    monkeypatch.setattr(sys, "argv", words)
    found = json.loads(results.as_json(results.begin("measure.tune")))
    assert found["command"].startswith("python -m experiments.measure.tune --gans=hin")
    assert "secret" not in found["command"]
    assert len(found["date"].split("-")) == 3
    assert found["device"] == jax.devices()[0].device_kind
    assert found["versions"]["jax"] == jax.__version__


def test_a_cpu_is_named_and_another_device_is_not_taken_for_one():
    found = results.begin("study", "cpu")
    assert found["processor"] == processor.name()
    assert found["instruction_set"] == processor.used()
    other = results.begin("study", "TPU v4")
    assert other["device"] == "TPU v4"
    assert "processor" not in other


def test_what_no_reader_of_json_takes_is_not_written():
    with pytest.raises(ValueError, match="JSON"):
        results.as_json({"fcd": float("nan")})


def test_a_table_stands_below_its_command(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["quality.py", "--seeds=2"])
    text = results.as_markdown("measure.quality", ["a", "b"], [["1", "2"]])
    assert text.splitlines() == [
        "```",
        "python -m experiments.measure.quality --seeds=2",
        "```",
        "",
        "| a | b |",
        "| --- | --- |",
        "| 1 | 2 |",
    ]
