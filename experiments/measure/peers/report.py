"""The numbers of `experiments.measure.benchmark` as tables."""

from collections.abc import Iterator, Sequence
from typing import Any

from experiments.common import tables
from experiments.measure.peers import worker
from gan_jax.system import processor

Document = dict[str, Any]
Result = dict[str, Any]
Table = tuple[Sequence[str], list[list[str]]]

_CELL = ("network", "loss", "batch", "precision", "images")
_SPEED = (
    *(*_CELL, "program", "ms a step", "epoch s", "images/s", "roofline"),
    *("memory", "gan_jax / it"),
)
_FLOOR = (
    *(*_CELL, "GFLOP", "MB", "GFLOP/s", "GB/s"),
    *("products ms", "weights ms", "floor ms"),
)
_DEVICES = (*_CELL, "devices", "ms a step", "/ gan_jax", "overhead ms a step")
_GANS = (*_CELL, "GANs at once", "devices", "ms a step", "ms a GAN", "/ gan_jax")
_PHASES = ("import", "data", "initialise", "compile", "first step", "total")
_START = (
    *(*_CELL, "program", *(f"{phase} s" for phase in _PHASES)),
    "compilation cache",
)


def as_text(document: Document) -> str:
    """All tables in aligned columns, with notes, for a terminal."""
    blocks = [tables.as_text(*table) for table in all_tables(document)]
    return "\n\n".join([*blocks, "\n".join(notes(document))])


def as_markdown(document: Document) -> str:
    """All tables in Markdown, with the command and notes."""
    blocks = [f"```\n{document['command']}\n```"]
    blocks.extend(tables.as_markdown(*table) for table in all_tables(document))
    blocks.extend(notes(document))
    return "\n\n".join(blocks) + "\n"


def all_tables(document: Document) -> list[Table]:
    """Speed, devices and GANs at once (where they were varied), floors, start."""
    results = document["results"]
    found = [
        (_SPEED, list(_speed(results))),
        (_DEVICES, list(_devices(results))),
        (_GANS, list(_gans(results))),
        (_FLOOR, list(map(_floor, results))),
        (_START, list(_start(results))),
    ]
    return [table for table in found if table[1]]


def title(name: str, program: Result) -> str:
    """A program's name in tables and figures.

    Args:
      name: its key among the programs of a result.
      program: what was measured.
    """
    if name in worker.PEERS:
        return worker.PEERS[name]
    devices, gans = program["num_devices"], program["gans"]
    parts = ["gan_jax"]
    if devices > 1:
        parts.append(f"{devices} devices")
    if gans > 1:
        parts.append(f"{gans} GANs")
    return ", ".join(parts)


def cell(result: Result) -> list[str]:
    """What was trained: network, loss, batch size, precision, shape of an image."""
    shape = " x ".join(map(str, result.get("shape", (28, 28, 1))))
    network = result.get("network", "reference")
    if width := result.get("width"):
        network += f" {width}"
    numbers = (str(result["batch_size"]), result["precision"])
    return [network, result["loss"], *numbers, shape]


def variants(result: Result, *, of_gans: bool) -> list[Result]:
    """The programs of gan_jax that are compared with its first, which leads.

    Args:
      result: of one setting.
      of_gans: with every number of GANs at once, or else with that of the first alone.
    """
    first = result["programs"]["gan_jax"]
    return [
        program
        for name, program in result["programs"].items()
        if name.startswith("gan_jax") and (of_gans or program["gans"] == first["gans"])
    ]


def _speed(results: Sequence[Result]) -> Iterator[list[str]]:
    for result in results:
        for name, program in result["programs"].items():
            memory = f"{program['peak_memory_bytes'] / 1e9:.2f} GB"
            if program["peak_device_memory_bytes"]:
                memory += f" + {program['peak_device_memory_bytes'] / 1e9:.2f} GB GPU"
            ratio = program["gan_jax_ratio"]
            yield [
                *cell(result),
                title(name, program),
                _spread(program["ms_a_step"]),
                _number(program["epoch_seconds"]),
                f"{program['images_per_second']:,.0f}",
                f"{100 * program['roofline_share']['median']:.0f} %",
                memory,
                "" if name == "gan_jax" else _spread(ratio),
            ]


def _devices(results: Sequence[Result]) -> Iterator[list[str]]:
    for result in results:
        first, *others = variants(result, of_gans=False)
        for program in [first, *others] if others else []:
            costs = ["", ""]
            if program is not first:
                costs = [_spread(program[of]) for of in ("over_gan_jax", "overhead_ms")]
            devices, ms = program["num_devices"], program["ms_a_step"]
            yield [*cell(result), str(devices), _spread(ms), *costs]


def _gans(results: Sequence[Result]) -> Iterator[list[str]]:
    for result in results:
        programs = variants(result, of_gans=True)
        varied = len({program["gans"] for program in programs}) > 1
        for program in programs if varied else []:
            yield [
                *cell(result),
                str(program["gans"]),
                str(program["num_devices"]),
                _spread(program["ms_a_step"]),
                _number(program["ms_a_step"]["median"] / program["gans"]),
                _spread(program["over_gan_jax"]) if program is not programs[0] else "",
            ]


def _floor(result: Result) -> list[str]:
    machine = result["machine"]
    work, rates = machine["work"], machine["rates"]
    return [
        *cell(result),
        _number(work["flops"] / 1e9),
        _number(work["bytes"] / 1e6),
        _number(rates["flops"]["median"] / 1e9),
        _number(rates["bytes"]["median"] / 1e9),
        *(_number(machine[f"{of}_ms"]["median"]) for of in ("flops", "bytes", "floor")),
    ]


def _start(results: Sequence[Result]) -> Iterator[list[str]]:
    for result in results:
        for name, program in result["programs"].items():
            start = program["start_seconds"]
            seconds = [f"{start[p]:.2f}" if p in start else "" for p in _PHASES]
            cache = program.get("compilation_cache", "")
            yield [*cell(result), title(name, program), *seconds, cache]


def _number(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}"


def _spread(values: dict[str, Any]) -> str:
    middle, low, high = (_number(values[key]) for key in ("median", "min", "max"))
    return f"{middle} ({low}..{high})"


def notes(document: Document) -> list[str]:
    """What a reader must know about the tables, one sentence or two an entry."""
    hardware, results = document["hardware"], document["results"]
    device = "" if hardware["platform"] == "cpu" else f", {hardware['device']}"
    name = hardware.get("instruction_set")
    used = f" ({processor.title(name)})" if name else ""
    installed = ", ".join(f"{k} {v}" for k, v in document["versions"].items() if v)
    errors = {r["precision"]: r["machine"]["product_error"] for r in results}
    said = ", ".join(f"{error:.0e} in {name}" for name, error in errors.items())
    found = [
        f"{hardware['processor']}{used}, {hardware['cores']} cores,"
        f" {hardware['memory_gb']} GB{device}; {installed}; {document['date']}.",
        "Median over rounds, with the smallest and the largest. Epoch: 60,000 images,"
        " after compilation. Roofline: the floor's time divided by the program's; no"
        " bound where weights ms is the floor and caches hold the weights.",
        f"Relative error of a matrix product of JAX: {said} (TF32: 3e-04).",
    ]
    programs = [p for result in results for p in result["programs"].items()]
    if len(programs) > len(results):
        found.append(
            "gan_jax / it: time a step and GAN of the first gan_jax divided by the"
            " program's, of the same round; / gan_jax: the other way round."
        )
    for result in results[:1]:
        peers = [p for p in result["programs"].values() if "compilation_cache" not in p]
        found += [f"PyTorch uses {peer['threads']} threads." for peer in peers[:1]]
    for result in results:
        for name, reason in result["unavailable"].items():
            what = worker.PEERS.get(name, name.replace("_", " "))
            loss, batch, *more = cell(result)
            setting = ", ".join([loss, f"batch {batch}", *more])
            found.append(f"{setting}, {what}: not measured: {reason}")
    return found
