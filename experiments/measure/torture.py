"""Kills training processes at random moments, and compares what becomes of them.

    python -m experiments.measure.torture --kills=20

Trains one run that nothing interrupts. Then, for each kill, starts the same run,
sends it SIGKILL (during its start, between two steps, or while it saves), starts it
again until it is done, and compares the two folders byte for byte: parameters,
optimisers, averages, batch statistics, key, samples, and metrics but for the clock's.
Prints how many are identical; exits with 1 where one is not.
"""

import hashlib
import json
import pathlib
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

import jax
import numpy as np
from absl import flags

from experiments.common import cli, results
from gan_jax.errors import UserError, check_name
from gan_jax.losses import LOSSES
from gan_jax.run import checkpoints, configuration, sampling
from gan_jax.run.metrics_log import read_metrics
from gan_jax.system.files import PART, write_text

_KILLS = flags.DEFINE_integer("kills", 20, "How many processes are killed.")
_LOSS = flags.DEFINE_string(
    "loss", "wasserstein_gp", f"What they train: {', '.join(LOSSES)}."
)
_CONDITIONAL = flags.DEFINE_boolean("conditional", False, "Whether they see labels.")
_STEPS = flags.DEFINE_integer("steps", 16, "Generator steps of a run.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the moments.")
_QUICK = flags.DEFINE_boolean("quick", False, "Five kills.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/torture", "Where the runs are.")

_CLOCK = ("seconds", "images_per_second")  # in metrics.jsonl
_PATIENCE = 300  # seconds, for a run of a few steps


def command(folder: pathlib.Path) -> list[str]:
    """The command that trains in a folder: small, and writing most of the time."""
    return [
        *(sys.executable, "-m", "experiments.train", f"--workdir={folder}"),
        *(f"--loss={_LOSS.value}", f"--conditional={_CONDITIONAL.value}"),
        *("--dataset=garments", "--num_examples=200", "--batch_size=8"),
        f"--steps={_STEPS.value}",
        *("--log_every=1", "--sample_every=3", "--checkpoint_every=2"),
    ]


def train(folder: pathlib.Path) -> float:
    """Trains to the end; returns how many seconds that took.

    Raises:
      UserError: the process failed.
    """
    started = time.perf_counter()
    try:
        done = subprocess.run(
            command(folder), capture_output=True, text=True, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"a run of {_STEPS.value} steps took {_PATIENCE} s") from None
    if done.returncode:
        raise UserError(f"training ended with {done.returncode}: {done.stderr[-300:]}")
    return time.perf_counter() - started


def is_training(folder: pathlib.Path) -> bool:
    """Whether a first step is logged."""
    log = folder / "metrics.jsonl"
    return log.exists() and log.stat().st_size > 0


def is_saving(folder: pathlib.Path) -> bool:
    """Whether a checkpoint is being written."""
    return any((folder / checkpoints.FOLDER).glob("*tmp*"))


def kill(
    folder: pathlib.Path, begun: Callable[[pathlib.Path], bool], delay: float
) -> str:
    """Starts a run and kills it ``delay`` seconds after it has begun something.

    A run that was done by then is started anew, for a shorter delay.

    Returns:
      What it was doing, in words.
    """
    process = subprocess.Popen(
        command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not begun(folder):
        time.sleep(0.001)
    time.sleep(delay)
    process.kill()
    if (status := process.wait()) >= 0:
        if status:
            raise UserError(f"training in {folder} ended with {status} by itself")
        shutil.rmtree(folder)
        return kill(folder, begun, 0.7 * delay)
    saving = "while it saved, " if is_saving(folder) else ""
    when = "before its first step"
    if is_training(folder):
        when = f"after step {read_metrics(folder)[-1]['step']}"
    return f"{saving}{when}, newest checkpoint {checkpoints.newest(folder)}"


def fingerprint(folder: pathlib.Path) -> dict[str, str]:
    """SHA-256 of everything that two equal runs have in common, by name."""
    _, state = sampling.restore(folder)
    state = state.replace(key=jax.random.key_data(state.key))
    found = {
        jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf)
        for path, leaf in jax.tree.leaves_with_path(state)
    }
    contents = {name: a.tobytes() + str(a.dtype).encode() for name, a in found.items()}
    for path in (folder / "real.png", *sorted((folder / "samples").iterdir())):
        contents[path.name] = path.read_bytes()
    lines = read_metrics(folder)
    untimed = [{k: v for k, v in line.items() if k not in _CLOCK} for line in lines]
    contents["metrics.jsonl"] = json.dumps(untimed).encode()
    contents["config.json"] = json.dumps(
        configuration.read_config(folder).flags()
    ).encode()
    contents["checkpoints"] = json.dumps(checkpoints.steps(folder)).encode()
    left = [path.name for path in folder.rglob(f"*{PART}")]
    left += [path.name for path in (folder / checkpoints.FOLDER).glob("*tmp*")]
    left += [path.name for path in folder.glob(checkpoints.DAMAGED)]
    contents["left behind"] = json.dumps(left).encode()
    return {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}


def main() -> None:
    """Trains, kills, resumes, compares, prints."""
    for flag in (_KILLS, _STEPS):
        cli.require_positive(flag)
    cli.require_seed(_SEED)
    check_name("loss", _LOSS.value, LOSSES)
    workdir = results.folder(_WORKDIR, "measure.torture")
    if workdir.exists() and any(workdir.iterdir()):
        raise UserError(f"--workdir={workdir} holds files: name a new folder")
    reference = workdir / "reference"
    whole = train(reference)
    steady = read_metrics(reference)[-1]["seconds"]
    expected = fingerprint(reference)
    print(
        f"uninterrupted: {whole:.1f} s, of which training {steady:.1f} s; moments of"
        f" seed {_SEED.value}",
        flush=True,
    )
    draw = random.Random(_SEED.value)
    kinds = (
        (lambda folder: True, whole),  # any moment; most are of the start
        (is_training, steady),
        (is_saving, 0.03),
    )
    outcomes = []
    kills = cli.unless_quick(_KILLS, 5, _QUICK.value)
    for number in range(1, kills + 1):
        folder = workdir / f"killed_{number}"
        begun, longest = kinds[number % len(kinds)]
        moment = kill(folder, begun, draw.uniform(0, longest))
        train(folder)
        found = fingerprint(folder)
        names = sorted(found.keys() | expected.keys())
        different = [n for n in names if found.get(n) != expected.get(n)]
        verdict = f"DIFFERENT: {', '.join(different)}" if different else "identical"
        print(f"kill {number}: {moment}: {verdict}", flush=True)
        outcomes.append({"kill": number, "moment": moment, "different": different})
        if not different:
            shutil.rmtree(folder)
    same = sum(not outcome["different"] for outcome in outcomes)
    document = {"flags": command(pathlib.Path("..."))[3:], "kills": outcomes}
    write_text(workdir / "results.json", json.dumps(document, indent=2) + "\n")
    print(f"{same}/{kills} identical")
    if same < kills:
        sys.exit(1)


if __name__ == "__main__":
    cli.run(main)
