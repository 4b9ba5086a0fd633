"""metrics.jsonl: no gap, no duplicate, no half line."""

import json

import pytest

from gan_jax.errors import UserError
from gan_jax.run.metrics_log import MetricsLog, read_metrics


def line(step):
    return {"step": step, "seconds": step / 10, "d_loss": 1.0}


def test_a_log_that_goes_on_after_a_step_has_no_gap_and_no_duplicate(tmp_path):
    log = MetricsLog(tmp_path, 0)
    for step in (10, 20, 30):  # and a first sitting that died after step 30
        log.write(line(step))
    log = MetricsLog(tmp_path, 20)
    assert log.seconds == 2.0
    log.write(line(30))
    log.write(line(40))
    assert [entry["step"] for entry in read_metrics(tmp_path)] == [10, 20, 30, 40]


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    text = json.dumps(line(10)) + "\n" + json.dumps(line(20))[:-4]
    (tmp_path / "metrics.jsonl").write_text(text)
    assert read_metrics(tmp_path) == [line(10)]


def test_a_damaged_line_before_the_last_is_refused_and_not_rewritten(tmp_path):
    lines = [json.dumps(line(10)), '{"step": 2', json.dumps(line(30)), ""]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"metrics\.jsonl is damaged"):
        MetricsLog(tmp_path, 30)
    assert (tmp_path / "metrics.jsonl").read_text() == "\n".join(lines)


def test_no_metrics_are_an_empty_list(tmp_path):
    assert read_metrics(tmp_path) == []
