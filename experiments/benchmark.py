"""Measures training: time to the first step, time a step, memory; beside PyTorch.

    python -m experiments.benchmark --loss=wasserstein_gp,nonsaturating

Prints two tables. One gives the milliseconds of a training step (median over rounds,
with the smallest and the largest), the real images consumed per second, the peak
resident memory of the process, and gan_jax's time divided by the program's. The other
gives the seconds from the start of the process to its first trained step, by phase.

With PyTorch installed (pip install 'gan_jax[peers]') the same networks, losses,
penalties and optimisers are measured in it too. Every program runs in a process of its
own, and they take turns: a ratio is taken within a round, so that all see the same
noise of the machine.
"""

import datetime
import json
import os
import pathlib
import platform
import shlex
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from absl import flags

from experiments import cli, tables
from experiments.peers import turns, worker
from gan_jax import data
from gan_jax.losses import LOSSES

_LOSS = flags.DEFINE_list(
    "loss",
    ["wasserstein_gp", "nonsaturating"],
    f"What to train, one or more with commas between: {', '.join(LOSSES)}.",
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 64, "Real examples in a batch, over all devices together."
)
_CONDITIONAL = flags.DEFINE_boolean(
    "conditional", False, "Measure the conditional GANs instead."
)
_NUM_DEVICES = flags.DEFINE_integer(
    "num_devices",
    1,
    "Devices that gan_jax trains on. On a CPU they are simulated and share the cores.",
)
_STEPS = flags.DEFINE_integer(
    "steps", 50, "Generator steps that each program takes in a round."
)
_ROUNDS = flags.DEFINE_integer(
    "rounds", 7, "How often each program has its turn, after one to warm up."
)
_PRECISION = flags.DEFINE_string(
    "precision",
    "float32",
    "float32 or bfloat16, of gan_jax alone: the peers compute in float32.",
)
_DATA = flags.DEFINE_string(
    "data",
    "random",
    "Training images of gan_jax: random (noise, which needs no data set and takes as"
    f" long to train on), {', '.join(data.DATASETS)}. The peers always get noise.",
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of the data set, as in experiments.train."
)
_NUM_EXAMPLES = flags.DEFINE_integer(
    "num_examples", 60_000, "How many training images to keep in memory."
)
_COMPILATION_CACHE = flags.DEFINE_boolean(
    "compilation_cache",
    True,
    "Let gan_jax find programs that an earlier process compiled, as training does. The"
    " table says whether it did (hit) or not (miss); --nocompilation_cache measures"
    " the first run on a new machine.",
)
_PEERS = flags.DEFINE_list(
    "peers",
    ["eager", "tuned"],
    "PyTorch programs to measure, if PyTorch is installed: eager (as it is usually"
    " written), tuned (fused Adam or foreach RMSProp, channels-last weights), compiled"
    " (tuned, with torch.compile, which needs a C++ compiler, takes minutes and"
    " cannot differentiate a gradient penalty). Give --peers= for none.",
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "JSON file for every number, with the hardware, the versions and the command.",
)
_MARKDOWN = flags.DEFINE_string(
    "markdown", None, "Markdown file for the tables, as in docs/results."
)


def main() -> None:
    """Turns the flags into a config, measures, and writes what was asked for."""
    for flag in (_OUTPUT, _MARKDOWN):
        cli.require_writable(flag)
    config = turns.Config(
        losses=_LOSS.value,
        batch_size=_BATCH_SIZE.value,
        conditional=_CONDITIONAL.value,
        num_devices=_NUM_DEVICES.value,
        steps=_STEPS.value,
        rounds=_ROUNDS.value,
        precision=_PRECISION.value,
        data=_DATA.value,
        data_dir=_DATA_DIR.value,
        num_examples=_NUM_EXAMPLES.value,
        compilation_cache=_COMPILATION_CACHE.value,
        peers=_PEERS.value,
    )
    results = turns.measure(config, say=lambda line: print(line, file=sys.stderr))
    document = {
        "command": shlex.join(["python", "-m", "experiments.benchmark", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "hardware": hardware(results),
        "versions": versions(),
        "results": results,
    }
    print(as_text(document))
    if _OUTPUT.value:
        text = json.dumps(document, indent=2, allow_nan=False)
        pathlib.Path(_OUTPUT.value).write_text(text + "\n")
    if _MARKDOWN.value:
        pathlib.Path(_MARKDOWN.value).write_text(as_markdown(document))


def hardware(results: Sequence[turns.Result]) -> dict[str, Any]:
    """The machine: processor, cores, memory in GB, and the devices trained on."""
    processor = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    ours = results[0]["programs"]["gan_jax"]
    return {
        "processor": processor,
        "cores": ours["threads"],
        "memory_gb": round(memory / 1e9, 1),
        "platform": ours["platform"],
        "device": ours["device"],
    }


def versions() -> dict[str, str | None]:
    """What is installed; None for what is not."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in ("gan_jax", "jax", "jaxlib", "flax", "optax", "torch"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


_NAMES = {"gan_jax": "gan_jax", **worker.PEERS}
_SPEED = ("loss", "program", "ms a step", "images/s", "memory", "gan_jax / it")
_PHASES = ("import", "data", "initialise", "compile", "first step", "total")
_START = ("loss", "program", *(f"{phase} s" for phase in _PHASES), "compilation cache")


def _speed_rows(results: Sequence[turns.Result]) -> list[list[str]]:
    def spread(values: dict[str, Any], digits: int) -> str:
        middle, low, high = (
            f"{values[key]:.{digits}f}" for key in ("median", "min", "max")
        )
        return f"{middle} ({low}..{high})"

    rows = []
    for result in results:
        for name, program in result["programs"].items():
            memory = f"{program['peak_memory_bytes'] / 1e9:.2f} GB"
            if program["peak_device_memory_bytes"]:
                memory += f" + {program['peak_device_memory_bytes'] / 1e9:.2f} GB GPU"
            rows.append(
                [
                    result["loss"],
                    _NAMES[name],
                    spread(program["ms_a_step"], 1),
                    f"{program['images_per_second']:,.0f}",
                    memory,
                    "" if name == "gan_jax" else spread(program["gan_jax_ratio"], 2),
                ]
            )
    return rows


def _start_rows(results: Sequence[turns.Result]) -> list[list[str]]:
    rows = []
    for result in results:
        for name, program in result["programs"].items():
            start = program["start_seconds"]
            seconds = [f"{start[p]:.2f}" if p in start else "" for p in _PHASES]
            cache = program.get("compilation_cache", "")
            rows.append([result["loss"], _NAMES[name], *seconds, cache])
    return rows


def _notes(document: dict[str, Any]) -> list[str]:
    """What a reader must know about the tables, one sentence an entry."""
    machine = document["hardware"]
    device = "" if machine["platform"] == "cpu" else f", {machine['device']}"
    installed = ", ".join(f"{k} {v}" for k, v in document["versions"].items() if v)
    programs = [
        (name, program)
        for result in document["results"]
        for name, program in result["programs"].items()
    ]
    threads = sorted({p["threads"] for name, p in programs if name != "gan_jax"})
    notes = [
        f"{machine['processor']}, {machine['cores']} cores,"
        f" {machine['memory_gb']} GB{device}; {installed}; {document['date']}."
    ]
    if threads:
        notes.append(
            "gan_jax / it: gan_jax's time a step divided by the program's, of the same"
            f" round. PyTorch uses {threads[0]} threads."
        )
    for result in document["results"]:
        for peer, reason in result["unavailable"].items():
            notes.append(f"{result['loss']}, {_NAMES[peer]}: not measured: {reason}")
    return notes


def as_text(document: dict[str, Any]) -> str:
    """Both tables in aligned columns, with notes, for a terminal."""
    blocks = [tables.as_text(*table) for table in _tables(document)]
    return "\n\n".join([*blocks, "\n".join(_notes(document))])


def as_markdown(document: dict[str, Any]) -> str:
    """Both tables in Markdown, with the command and notes."""
    blocks = [f"```\n{document['command']}\n```"]
    blocks.extend(tables.as_markdown(*table) for table in _tables(document))
    blocks.extend(_notes(document))
    return "\n\n".join(blocks) + "\n"


def _tables(document: dict[str, Any]) -> list[tuple[Sequence[str], list[list[str]]]]:
    results = document["results"]
    return [(_SPEED, _speed_rows(results)), (_START, _start_rows(results))]


if __name__ == "__main__":
    cli.run(main)
