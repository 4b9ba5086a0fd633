"""Programs that alternate: measured side by side, so that both see the same noise.

Each program runs in a process of its own (`worker`) and waits while
another works. In every round each takes the same number of steps, and another one is
the first; a ratio is of two programs within one round, and the spread is over rounds.
"""

import dataclasses
import importlib.util
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from experiments.measure.peers import machine, worker
from experiments.measure.peers.child import Worker, WorkerError
from experiments.measure.peers.setting import EPOCH, Program, Setting, programs
from gan_jax.run.schedule import Schedule

Result = dict[str, Any]
Running = dict[str, tuple[Program, Worker]]  # by `Program.key`, gan_jax's first first
Round = tuple[dict[str, float], dict[str, float]]  # the machine's rates; ms a step
_MUST_START = ("gan_jax", "stepwise", "eager", "tuned")


def measure(setting: Setting, say: Callable[[str], None] = print) -> Result:
    """Measures gan_jax and its peers.

    Args:
      setting: what to measure.
      say: takes a line of progress.

    Returns:
      ``loss``, ``batch_size``, ``precision``, ``recipe``, ``machine`` (the work of a
      step and the rates of the hardware: `_machine`), ``programs`` (`Program.key` to
      what `_summary` gives, "gan_jax" first) and ``unavailable`` (key to the reason).

    Raises:
      UserError: the setting asks for what cannot be.
      WorkerError: a program failed that should not.
    """
    setting.check()
    recipe = dataclasses.asdict(setting.recipe())
    spec = {**dataclasses.asdict(setting), "recipe": recipe, "capacity": setting.steps}
    size = " x ".join(map(str, setting.shape))
    what = (setting.network, setting.loss, f"batch {setting.batch_size}")
    title = ", ".join((*what, setting.precision, size))
    with ExitStack() as stack:
        running, unavailable = _start(
            setting, spec, stack, lambda line: say(f"{title}: {line}")
        )
        scale = Worker({**spec, "program": "machine"})
        stack.callback(scale.close)
        rounds = list(_take_turns(setting, scale, running))
        for key in running:
            ms = statistics.median(times[key] for _, times in rounds)
            say(f"{title}: {key} {ms:.2f} ms a step")
        hardware = _machine(scale, [rates for rates, _ in rounds])
        return {
            "loss": setting.loss,
            "batch_size": setting.batch_size,
            "precision": setting.precision,
            "shape": list(setting.shape),
            "network": setting.network,
            "width": setting.width,
            "recipe": recipe,
            "machine": hardware,
            "programs": {
                key: _summary(key, running, rounds, hardware["work"], setting)
                for key in running
            },
            "unavailable": unavailable,
        }


def _start(
    setting: Setting, spec: dict[str, Any], stack: ExitStack, say: Callable[[str], None]
) -> tuple[Running, dict[str, str]]:
    """Starts the programs, one after another; the stack ends them.

    Returns:
      Those that run, and why the others do not.
    """
    running: Running = {}
    unavailable = {}
    platform = None  # of gan_jax, once it runs
    for program in programs(setting):
        key = program.key(setting)
        if reason := _refusal(program, setting, platform):
            unavailable[key] = reason
            continue
        say(f"starting {key}")
        changes = {"program": program.name, **dataclasses.asdict(program)}
        try:
            process = Worker(spec | changes)
        except WorkerError as error:
            if key in _MUST_START:
                raise
            unavailable[key] = error.args[0]
            continue
        stack.callback(process.close)
        its = process.report["platform"]
        platform = platform or its
        if its == platform:
            running[key] = (program, process)
        else:
            unavailable[key] = f"it runs on {its}, and gan_jax on {platform}"
            process.close()
    return running, unavailable


def _refusal(program: Program, setting: Setting, platform: str | None) -> str | None:
    """Why not to start a program beside gan_jax's first, which runs on ``platform``."""
    if program.name == "gan_jax":
        return None
    in_torch = program.name not in worker.IN_JAX
    if in_torch and importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed (extra: peers)"
    if setting.num_devices[0] > 1 and (platform != "cpu" or not in_torch):
        return "it uses one device"
    if program.name == "graphed" and platform == "cpu":
        return "CUDA graphs need a GPU"
    return None


def _take_turns(
    setting: Setting, scale: Worker, running: dict[str, tuple[Program, Worker]]
) -> Iterator[Round]:
    """The rates of the machine and milliseconds a step, round by round.

    The rates are measured first. Whose turn comes then moves on by one every round.
    """
    order = list(running)
    for program, process in running.values():
        process.run(_warm_up(program, setting))
    for _ in range(setting.rounds):
        rates = scale.rates()
        yield rates, {key: running[key][1].run(setting.steps) for key in order}
        order.append(order.pop(0))


def _warm_up(program: Program, setting: Setting) -> int:
    """Steps before the first round, for caches and clocks.

    In a run folder as many as a round has, which have written all that it writes, and
    past the first grid: what draws it is compiled there.
    """
    if program.name == "recorded":
        return max(setting.steps, Schedule().sample_every)
    return min(setting.steps, 10)


def _machine(scale: Worker, rates: Sequence[dict[str, float]]) -> Result:
    """The work of a step of one GAN, the rates, and the floor; ends the worker.

    ``floor_ms`` is the larger of ``flops_ms`` and ``bytes_ms`` in each round.
    """
    scale.finish()
    work = scale.report["work"]
    terms = [machine.floor_terms(work, r) for r in rates]
    return {
        "work": work,
        "rates": {name: spread([rate[name] for rate in rates]) for name in work},
        **{f"{name}_ms": spread([1e3 * term[name] for term in terms]) for name in work},
        "floor_ms": spread([1e3 * max(term.values()) for term in terms]),
        "product_error": scale.report["product_error"],
    }


def _summary(
    key: str,
    running: dict[str, tuple[Program, Worker]],
    rounds: Sequence[Round],
    work: dict[str, float],
    setting: Setting,
) -> Result:
    """What there is to say about one program; ends it.

    Ratios are of times a step and GAN, within a round: ``gan_jax_ratio``, that of
    gan_jax's first program by this one's; ``over_gan_jax``, the other way round;
    ``roofline_share``, the floor's (of `machine`) by this one's. Of as many GANs as the
    first's on another number of devices, ``overhead_ms`` is the difference of a step.
    """
    program, process = running[key]
    first = running["gan_jax"][0]
    start = process.report.pop("start")
    memory, device_memory = process.finish()
    times = [its[key] for _, its in rounds]
    a_gan = [ms / program.gans for ms in times]
    ours = [its["gan_jax"] / first.gans for _, its in rounds]
    # Simulated devices share the cores, on which the rates are measured.
    devices = 1 if process.report["platform"] == "cpu" else program.num_devices
    terms = [machine.floor_terms(work, r, devices, program.gans) for r, _ in rounds]
    floors = [1e3 * max(term.values()) for term in terms]
    images = setting.batch_size * setting.recipe().critic_steps
    median = statistics.median(times)
    summary = {
        **process.report,
        "num_devices": program.num_devices,
        "gans": program.gans,
        "start_seconds": {**start, "total": sum(start.values())},
        "ms_a_step": spread(times),
        "epoch_seconds": EPOCH // images * median / 1e3,
        "images_per_second": 1e3 * images * program.gans / median,
        "peak_memory_bytes": memory,
        "peak_device_memory_bytes": device_memory,
        "roofline_share": spread(_ratios(floors, a_gan)),
        "gan_jax_ratio": spread(_ratios(ours, a_gan)),
        "over_gan_jax": spread(_ratios(a_gan, ours)),
    }
    if program.num_devices != first.num_devices and program.gans == first.gans:
        summary["overhead_ms"] = spread(
            [its[key] - its["gan_jax"] for _, its in rounds]
        )
    return summary


def _ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(numerators, denominators, strict=True)]


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, smallest, largest, and all."""
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "rounds": list(values),
    }
