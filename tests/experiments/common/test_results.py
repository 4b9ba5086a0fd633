"""Every file of results says how, when, on what and with what it was made."""

import json
import sys

import jax
import pytest
from absl import flags

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


def test_a_warning_is_said_and_stands_in_the_results_and_below_the_table(capsys):
    assert results.warn(None) == {}
    warned = results.warn("drawn garments")
    assert warned == {"warning": "drawn garments"}
    assert capsys.readouterr() == ("", "warning: drawn garments\n")
    text = results.as_markdown("measure.tune", ["a"], [["1"]], **warned)
    assert text.endswith("| 1 |\n\nWarning: drawn garments\n")


@pytest.mark.parametrize(
    "there",
    [
        '{"command": "python -m experiments.quality --seeds=2"}',  # as it was called
        *('{"command": "other"}', '{"command": 1}', "[]", "{", None),
    ],
)
def test_results_of_the_same_program_or_of_nobody_known_are_replaced(there, tmp_path):
    if there is not None:
        (tmp_path / "results.json").write_text(there)
    values = flags.FlagValues()
    flag = flags.DEFINE_string("workdir", None, "", flag_values=values)
    values.mark_as_parsed()
    found = results.folder(flag, "measure.quality", str(tmp_path))
    assert found == tmp_path


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
