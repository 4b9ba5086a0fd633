"""Measures training: time a step, share of the roofline, memory; beside PyTorch.

    python -m experiments.measure.benchmark --loss=wasserstein_gp,nonsaturating
    python -m experiments.measure.benchmark --batch_size=64,256
    python -m experiments.measure.benchmark --peers= --num_devices=1,2,4,8
    python -m experiments.measure.benchmark --peers= --gans=1,8,32,128

Every combination of --loss, --batch_size, --precision and --images is a setting. In a
setting the programs alternate, each in a process of its own: gan_jax on every one of
--num_devices and with every one of --gans at once, and the --peers, of which most are
the same GANs in PyTorch (pip install 'gan_jax[peers]'). A ratio is taken within a
round, so that all see the same noise of the machine. docs/benchmark.md says what the
columns mean.
"""

import datetime
import itertools
import json
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from absl import flags

from experiments.common import cli, results
from experiments.measure.peers import figure, report, this_machine, turns
from experiments.measure.peers.report import Document
from experiments.measure.peers.setting import Setting, shapes
from gan_jax.errors import UserError
from gan_jax.losses import LOSSES
from gan_jax.networks import NETWORKS
from gan_jax.system import processor
from gan_jax.system.files import whole_file

_LOSS = flags.DEFINE_list(
    "loss",
    ["wasserstein_gp", "nonsaturating"],
    f"What to train, one or more with commas between: {', '.join(LOSSES)}.",
)
_BATCH_SIZE = flags.DEFINE_list(
    "batch_size",
    ["64"],
    "Real examples in a batch, over all devices together; one number or more.",
)
_PRECISION = flags.DEFINE_list(
    "precision",
    ["float32"],
    "float32, tf32 (of products on a GPU), bfloat16 (in PyTorch by autocast); one or"
    " more.",
)
_CONDITIONAL = flags.DEFINE_boolean(
    "conditional", False, "Measure the conditional GANs instead."
)
_NETWORK = flags.DEFINE_list(
    "network",
    ["reference"],
    f"Networks: {', '.join(NETWORKS)}; in PyTorch reference, dcgan, resnet.",
)
_WIDTH = flags.DEFINE_integer("width", None, "Their width.")
_NUM_DEVICES = flags.DEFINE_list(
    "num_devices",
    ["1"],
    "Devices that gan_jax trains on; one number or more. On a CPU they are simulated"
    " and share the cores.",
)
_GANS = flags.DEFINE_list(
    "gans",
    ["1"],
    "How many GANs gan_jax trains at once, by vmap; one number or more.",
)
_IMAGES = flags.DEFINE_list(
    "images",
    ["28x28x1"],
    "Height, width and channels of the images, as 28x28x1,64x64x3; one or more.",
)
_STEPS = flags.DEFINE_integer("steps", 50, "Generator steps of a round.")
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Rounds, after one to warm up.")
_DATA = flags.DEFINE_string(
    "data",
    "random",
    "Training images of gan_jax: random (noise, which needs no data set and takes as"
    " long to train on), or a published data set. The peers always get noise.",
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
    "What to measure beside it: stepwise (gan_jax without the loop on the device), and"
    " of PyTorch eager (as it is usually written), tuned (fused Adam or foreach"
    " RMSProp, channels-last weights), compiled (tuned, with torch.compile, which needs"
    " a C++ compiler, takes minutes and cannot differentiate a gradient penalty),"
    " graphed (tuned, the whole step one CUDA graph; GPUs alone). Give --peers= for"
    " none.",
)
_INSTRUCTION_SET = flags.DEFINE_enum(
    "instruction_set",
    None,
    list(processor.INSTRUCTION_SETS),
    "Of a CPU: what JAX and PyTorch may use at most, though the processor has more. By"
    " default all that it has.",
)
_RECORDER = flags.DEFINE_boolean(
    "recorder", False, "Also with all that experiments.train writes: the host's share."
)
_READ = flags.DEFINE_list(
    "read",
    [],
    "JSON files of --output to make one document of, in place of measuring.",
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "JSON file for every number, with the hardware, the versions and the command.",
)
_MARKDOWN = flags.DEFINE_string(
    "markdown", None, "Markdown file for the tables, as in docs/results."
)
_FIGURE = flags.DEFINE_string("figure", None, "PNG file for a figure.")


def main() -> None:
    """Turns the flags into settings, measures, and writes what was asked for.

    Files are written after every setting: what ends early leaves what it has.
    """
    for flag in (_OUTPUT, _MARKDOWN, _FIGURE):
        cli.require_writable(flag)
    if _READ.value:
        document = merge(list(map(_read, _READ.value)))
        _write(document)
    else:
        if _INSTRUCTION_SET.value:
            os.environ |= processor.limited_to(_INSTRUCTION_SET.value)
        for found in _measure(settings()):
            document = {
                "command": cli.command("measure.benchmark"),
                "date": datetime.date.today().isoformat(),
                "hardware": this_machine.hardware(found),
                "versions": this_machine.versions(),
                "results": found,
            }
            _write(document)
    print(report.as_text(document))


def settings() -> list[Setting]:
    """Every combination of the lists of the flags, checked.

    Raises:
      UserError: one of them could not be measured.
    """
    cli.require_losses(_LOSS)
    found = [
        Setting(
            loss=loss,
            batch_size=batch_size,
            precision=precision,
            conditional=_CONDITIONAL.value,
            network=network,
            width=_WIDTH.value,
            num_devices=_numbers(_NUM_DEVICES),
            gans=_numbers(_GANS),
            steps=_STEPS.value,
            rounds=_ROUNDS.value,
            data=_DATA.value,
            data_dir=_DATA_DIR.value,
            num_examples=_NUM_EXAMPLES.value,
            shape=shape,
            compilation_cache=_COMPILATION_CACHE.value,
            peers=["recorded"] * _RECORDER.value + _PEERS.value,
        )
        for loss, precision, batch_size, shape, network in itertools.product(
            _LOSS.value,
            _PRECISION.value,
            _numbers(_BATCH_SIZE),
            shapes(_IMAGES),
            _NETWORK.value,
        )
    ]
    if not found:
        raise UserError("--batch_size, --precision and --images must name one or more")
    for setting in found:
        setting.check()
    return found


def _numbers(flag: flags.FlagHolder) -> list[int]:
    try:
        return [int(part) for part in flag.value]
    except ValueError:
        raise UserError(
            f"--{flag.name}={','.join(flag.value)} must be whole numbers with commas"
            " between"
        ) from None


def _measure(todo: Sequence[Setting]) -> Iterator[list[turns.Result]]:
    """What was measured so far, after each setting."""
    say = partial(print, file=sys.stderr, flush=True)
    results = []
    for setting in todo:
        results.append(turns.measure(setting, say=say))
        yield results


def _write(document: Document) -> None:
    cli.write(_OUTPUT, results.as_json(document))
    cli.write(_MARKDOWN, report.as_markdown(document))
    if _FIGURE.value:
        with whole_file(cli.path_of(_FIGURE)) as file:
            figure.save(file, document["results"])


def _read(name: str) -> Document:
    """A file of --output.

    Raises:
      UserError: it is not one, or of an earlier version.
    """
    try:
        document = json.loads(pathlib.Path(name).read_text())
        whole = all("flops_ms" in result["machine"] for result in document["results"])
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise UserError(f"--read={name}: no results of this version: measure again")
    return document


def merge(documents: Sequence[Document]) -> Document:
    """One document of several that were measured on one machine.

    Args:
      documents: as `main` writes them.

    Raises:
      UserError: their hardware or versions differ.
    """
    first = documents[0]

    def machine(document: Document) -> list[Any]:
        of = ("processor", "cores", "device")
        return [document["versions"], *(document["hardware"][name] for name in of)]

    sets = {d["hardware"].get("instruction_set") for d in documents} - {None}
    others = any(machine(document) != machine(first) for document in documents)
    if others or len(sets) > 1:
        raise UserError("--read: the files are of different machines or versions")
    return {
        **first,
        "command": "\n".join(document["command"] for document in documents),
        "results": [result for document in documents for result in document["results"]],
    }


if __name__ == "__main__":
    cli.run(main)
