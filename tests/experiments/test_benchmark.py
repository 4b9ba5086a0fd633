"""The benchmark measures what it says, and writes it down."""

import dataclasses
import json
import math
import os
import subprocess
import sys

import jax
import pytest

from experiments.peers import turns, worker
from gan_jax.errors import UserError


def run(*flags):
    cache = jax.config.jax_compilation_cache_dir
    return subprocess.run(
        [sys.executable, "-m", "experiments.benchmark", *flags],
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": cache},
        capture_output=True,
        text=True,
    )


def numbers(tree):
    """Every number in nested lists and dicts."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list):
        return [number for item in tree for number in numbers(item)]
    return [tree] if isinstance(tree, int | float) else []


def test_a_small_benchmark_writes_positive_numbers(tmp_path):
    output, markdown = tmp_path / "out.json", tmp_path / "out.md"
    result = run(
        "--loss=nonsaturating",
        "--batch_size=8",
        "--num_devices=2",
        "--num_examples=64",
        "--steps=2",
        "--rounds=2",
        "--peers=eager",
        f"--output={output}",
        f"--markdown={markdown}",
    )
    assert result.returncode == 0, result.stderr
    document = json.loads(output.read_text())
    (measured,) = document["results"]
    assert measured["loss"] == "nonsaturating"
    assert set(measured["programs"]) | set(measured["unavailable"]) == {
        "gan_jax",
        "eager",
    }
    for program in measured["programs"].values():
        found = numbers(program)
        assert len(found) > 15
        assert all(math.isfinite(number) and number > 0 for number in found)
        start = program["start_seconds"]
        total = start.pop("total")
        assert total == pytest.approx(sum(start.values()))
        times = program["ms_a_step"]
        assert len(times["rounds"]) == 2
        assert times["min"] <= times["median"] <= times["max"]
        assert program["images_per_second"] == pytest.approx(8e3 / times["median"])
    assert measured["programs"]["gan_jax"]["compilation_cache"] in ("hit", "miss")
    assert document["hardware"]["cores"] >= 1
    for text in (result.stdout, markdown.read_text()):
        assert "nonsaturating" in text
        assert document["versions"]["jax"] in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"losses": ["wassersteing_gp"]}, "wasserstein_gp"),
        ({"losses": []}, "--loss"),
        ({"batch_size": 63, "num_devices": 2}, "62"),
        ({"steps": 0}, "--steps=0"),
        ({"num_examples": 63}, "63"),
        ({"precision": "float16"}, "bfloat16"),
        ({"peers": ["tensorflow"]}, "eager"),
        ({"data": "cifar"}, "garments"),
    ],
)
def test_a_mistake_is_refused_before_anything_runs(change, message):
    with pytest.raises(UserError, match=message):
        turns.measure(dataclasses.replace(turns.Config(), **change))


def test_a_mistake_on_the_command_line_is_one_line():
    result = run("--output=/no/such/folder/out.json")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "--output" in result.stderr


def test_spread_is_of_the_rounds():
    assert turns.spread([3.0, 1.0, 2.0, 10.0]) == {
        "median": 2.5,
        "min": 1.0,
        "max": 10.0,
        "rounds": [3.0, 1.0, 2.0, 10.0],
    }


def test_a_failed_program_says_why():
    spec = {"program": "gan_jax", "shared_device": False}  # incomplete
    with pytest.raises(turns.WorkerError, match="KeyError"):
        turns.Worker(spec)


def test_peak_memory_covers_what_was_touched():
    before = worker.peak_memory()
    held = b"1" * (before + 2**24)
    assert worker.peak_memory() > len(held) > before
