"""The benchmark measures what it says, and writes it down."""

import json
import math
import os
import subprocess
import sys

import jax
import pytest

from experiments.measure.peers import child, turns
from experiments.measure.peers.setting import Program, Setting, programs
from gan_jax.errors import UserError
from tests.processes.running import call


def run(*flags, module="experiments.measure.benchmark", **options):
    cache = jax.config.jax_compilation_cache_dir
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": cache}
    return subprocess.run(
        [sys.executable, "-m", module, *flags],
        env=environment | options.pop("env", {}),
        capture_output=True,
        text=True,
        **options,
    )


def numbers(tree):
    """Every number in nested lists and dicts."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list):
        return [number for item in tree for number in numbers(item)]
    return [tree] if isinstance(tree, int | float) else []


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A small benchmark where no data set could be loaded, and the folder it wrote."""
    folder = tmp_path_factory.mktemp("benchmark")
    (folder / "tensorflow_datasets.py").write_text("raise ImportError('not here')")
    result = run(
        "--loss=nonsaturating",
        "--batch_size=8",
        "--num_devices=1,2",
        "--num_examples=64",
        "--steps=2",
        "--rounds=2",
        "--images=16x16x1",
        "--nocompilation_cache",
        "--recorder",
        "--peers=eager,graphed",
        *(f"--{flag}={folder / flag}" for flag in ("output", "markdown", "figure")),
        env={"PYTHONPATH": str(folder)},
    )
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


@pytest.mark.slow
def test_a_small_benchmark_writes_positive_numbers(measured):
    folder, printed = measured
    document = json.loads((folder / "output").read_text())
    (result,) = document["results"]
    assert result["loss"] == "nonsaturating"
    assert set(result["programs"]) | set(result["unavailable"]) == {
        *("gan_jax", "gan_jax_2_devices", "recorded", "eager", "graphed")
    }
    for program in result["programs"].values():
        program.pop("overhead_ms", None)  # the only number that may be negative
        found = numbers(program)
        assert len(found) > 20
        assert all(math.isfinite(number) and number > 0 for number in found)
        start = program["start_seconds"]
        total = start.pop("total")
        assert total == pytest.approx(sum(start.values()))
        times = program["ms_a_step"]
        assert len(times["rounds"]) == 2
        assert times["min"] <= times["median"] <= times["max"]
        assert program["images_per_second"] == pytest.approx(8e3 / times["median"])
        assert program["epoch_seconds"] == pytest.approx(7.5 * times["median"])
        floor = result["machine"]["floor_ms"]["rounds"][1]
        share = program["roofline_share"]["rounds"][1]
        assert share == pytest.approx(floor / times["rounds"][1])
    assert result["machine"]["product_error"] < 1e-2
    assert result["programs"]["gan_jax"]["compilation_cache"] == "off"
    assert document["hardware"]["cores"] >= 1
    for text in (printed, (folder / "markdown").read_text()):
        assert "nonsaturating" in text
        assert "gan_jax, 2 devices" in text
        assert document["versions"]["jax"] in text
    assert (folder / "figure").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_cuda_graphs_are_left_out_with_the_reason_where_there_is_no_gpu(measured):
    (result,) = json.loads((measured[0] / "output").read_text())["results"]
    platform = result["programs"]["gan_jax"]["platform"]
    reason = result["unavailable"].get("graphed", "")
    assert platform != "cpu" or "GPU" in reason or "not installed" in reason


@pytest.mark.slow
def test_files_of_several_commands_make_one_document(measured):
    folder, _ = measured
    file = folder / "output"
    result = run(f"--read={file},{file}", f"--output={folder / 'both'}")
    assert result.returncode == 0, result.stderr
    one, both = (json.loads(path.read_text()) for path in (file, folder / "both"))
    assert both["results"] == one["results"] * 2
    assert both["command"].count("experiments.measure.benchmark") == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "wassersteing_gp"}, "wasserstein_gp"),
        ({"batch_size": 63, "num_devices": (1, 2)}, "62"),
        ({"gans": (1, 3), "num_devices": (1, 2)}, "--gans=3"),
        ({"gans": (1, 0)}, "--gans=0"),
        ({"gans": (8, 8)}, "each once"),
        ({"num_devices": ()}, "--num_devices"),
        ({"steps": 0}, "--steps=0"),
        ({"num_examples": 63}, "63"),
        ({"precision": "float16"}, "bfloat16"),
        ({"peers": ["tensorflow"]}, "eager"),
        ({"peers": ["stepwise", "stepwise"]}, "--peers names stepwise twice"),
        ({"data": "cifar"}, "garments"),
    ],
)
def test_a_mistake_is_refused_before_anything_runs(change, message):
    with pytest.raises(UserError, match=message):
        turns.measure(Setting(**change))


MISTAKES = {
    "--output=/no/such/folder/out.json": "--output",
    "--figure=/no/such/folder/out.png": "--figure",
    "--loss=": "--loss is empty",
    "--batch_size=64,large": "--batch_size=64,large must be whole numbers",
    "--batch_size=": "--batch_size",
    "--images=": "--images is empty: name one or more",
    "--images=28x28x0": "--images=28x28x0 must be height, width and channels",
    "--images=28x0x1": "--images=28x0x1",
    "--recorder --peers=recorded": "--recorder names it, too",
    "--batch_size=64,0": "--batch_size=0",
    "--gans=1.5": "--gans=1.5",
    "--precision=": "--precision",
    "--precision=float32,float8": "float8",
    "--read=/no/such.json": "/no/such.json",
    "--read=pyproject.toml": "no results",
}


def test_a_mistake_on_the_command_line_is_one_line():
    name = "experiments.measure.benchmark"
    results = call({name: [flags.split() for flags in MISTAKES]})[name]
    for (flags, message), result in zip(MISTAKES.items(), results, strict=True):
        assert result["status"] == 2, flags
        assert len(result["stderr"].splitlines()) == 1
        assert message in result["stderr"]


def test_the_first_of_both_lists_is_what_the_others_are_compared_with():
    setting = Setting(num_devices=(2, 1), gans=(1, 8), peers=("graphed",))
    keys = {program.key(setting): program for program in programs(setting)}
    assert keys == {
        "gan_jax": Program("gan_jax", 2, 1),
        "gan_jax_8_gans": Program("gan_jax", 2, 8),
        "gan_jax_1_devices": Program("gan_jax", 1, 1),
        "gan_jax_1_devices_8_gans": Program("gan_jax", 1, 8),
        "graphed": Program("graphed"),
    }


def test_spread_is_of_the_rounds():
    assert turns.spread([3.0, 1.0, 2.0, 10.0]) == {
        "median": 2.5,
        "min": 1.0,
        "max": 10.0,
        "rounds": [3.0, 1.0, 2.0, 10.0],
    }


class Played:
    """In place of a `child.Worker`: says when its turn is, and takes given times."""

    def __init__(self, name, turns_taken, ms=1.0):
        self.name, self.turns_taken, self.ms = name, turns_taken, ms
        self.report = {"start": {"import": 1.0}, "platform": "cpu"}

    def run(self, steps):
        self.turns_taken.append(self.name)
        return self.ms

    def rates(self):
        self.turns_taken.append("rates")
        return {"flops": 1.0, "bytes": 1.0}

    def finish(self):
        return 1, None


def test_every_program_is_the_first_in_its_turn():
    said = []
    running = {name: (Program(name), Played(name, said)) for name in ("a", "b", "c")}
    setting = Setting(rounds=4)
    rounds = list(turns._take_turns(setting, Played("machine", said), running))
    assert "".join(said).split("rates") == ["abc", "abc", "bca", "cab", "abc"]
    assert all(times == {"a": 1.0, "b": 1.0, "c": 1.0} for _, times in rounds)


def test_overhead_is_of_a_step_and_of_as_many_gans():
    setting = Setting(num_devices=(1, 2), gans=(8, 16), peers=(), rounds=2)
    ms = {(1, 8): 800.0, (1, 16): 1600.0, (2, 8): 880.0, (2, 16): 1700.0}
    running = {
        p.key(setting): (p, Played("", [], ms[p.num_devices, p.gans]))
        for p in programs(setting)
    }
    rounds = list(turns._take_turns(setting, Played("", []), running))
    work = {"flops": 1.0, "bytes": 1.0}
    overheads = {
        key: turns._summary(key, running, rounds, work, setting).get("overhead_ms")
        for key in running
    }
    assert overheads.pop("gan_jax_2_devices")["median"] == 80
    assert set(overheads.values()) == {None}


def test_a_failed_program_says_why():
    with pytest.raises(child.WorkerError, match="KeyError"):
        child.Worker({"program": "gan_jax"})  # incomplete


TOUCHING = """
from experiments.measure.peers import worker
before = worker.peak_memory()
held = b"1" * (before + 2**24)
assert worker.peak_memory() > len(held) > before
"""


def test_peak_memory_covers_what_was_touched():
    """In a process that has not had much: it takes more than all of that."""
    subprocess.run([sys.executable, "-c", TOUCHING], check=True)
