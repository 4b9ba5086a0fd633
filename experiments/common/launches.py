"""What a GPU launches, read from the text of a compiled loop, or from a trace."""

import dataclasses
import math
import pathlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator

import jax

from gan_jax.errors import UserError

# Nothing is launched for these. A TPU fetches what kernels will need while others run.
_FREE = {
    *("copy-start", "copy-done", "slice-start", "slice-done"),
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast"),
    *("after-all", "opt-barrier", "partition-id", "replica-id"),
}
_FUSIONS = {
    "Loop": "elementwise",
    "Input": "reduction or transposition",
    "Output": "product or convolution",
}
_BYTES = {"pred": 1, "bf16": 2, "token": 0}
_COMPUTATION = re.compile(r"(?:ENTRY )?%?([\w.\-]+) .*\{$")
_LINE = re.compile(r"\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*)$")
_SHAPE = re.compile(
    r"\b(pred|bf16|[a-z]+(\d+)\w*)\[([\d,]*)\](?:\{([\d,]*)(?::T\(([\d,]+)\))?)?"
)


@dataclasses.dataclass(frozen=True)
class Launch:
    """A kernel, or a copy.

    Attributes:
      kind: "elementwise", "matrix product"... or XLA's own word.
      name: where it comes from in the source, as JAX says it; may be empty.
      bytes: of what it is given and of what it gives; of a slice, of the whole array.
        On a TPU, padding of its tiles is among them.
      padding: bytes of it.
      times: how often in one turn; more than once inside of an inner loop.
    """

    kind: str
    name: str
    bytes: int
    padding: int = 0
    times: int = 1


def of_loop(text: str) -> list[Launch]:
    """The launches of one turn of a program's longest loop, in their order.

    Args:
      text: of the optimised program, as a compiled function's ``as_text()`` gives it.
    """
    computations = dict(_computations(text))
    bodies = [_attribute(lines, "body") for lines in computations.values()]
    found = [list(_launches(computations, body)) for names in bodies for body in names]
    return max(found, key=count)


def count(launches: list[Launch]) -> int:
    """How many launches there are, inner loops' turns counted."""
    return sum(launch.times for launch in launches)


def kinds(launches: list[Launch]) -> Counter[str]:
    """How many there are of each kind."""
    total: Counter[str] = Counter()
    for launch in launches:
        total[launch.kind] += launch.times
    return total


def of_trace(
    folder: pathlib.Path, plane: str, line: str
) -> dict[str, tuple[int, float]]:
    """How often each event of a trace happened, and how many milliseconds it took.

    Args:
      folder: that `jax.profiler.trace` wrote to.
      plane: what the names of the planes begin with, "/device:GPU".
      line: what the names of their lines begin with, "Stream".

    Raises:
      UserError: there is no such event.
    """
    found: defaultdict[str, list[float]] = defaultdict(list)
    for path in folder.rglob("*.xplane.pb"):
        for part in jax.profiler.ProfileData.from_file(str(path)).planes:
            for row in part.lines if part.name.startswith(plane) else ():
                for event in row.events if row.name.startswith(line) else ():
                    found[event.name].append(event.duration_ns / 1e6)
    if not found:
        raise UserError(f"the trace has nothing on {plane} {line}: run it on a GPU")
    return {name: (len(times), sum(times)) for name, times in found.items()}


def _computations(text: str) -> Iterator[tuple[str, list[str]]]:
    name, lines = "", []
    for line in text.splitlines():
        if match := None if line[:1].isspace() else _COMPUTATION.match(line):
            name, lines = match[1], []
        elif line.startswith("}"):
            yield name, lines
        else:
            lines.append(line)


def _attribute(lines: list[str], name: str) -> list[str]:
    return [m[1] for line in lines if (m := re.search(rf"\b{name}=%?([\w.\-]+)", line))]


def _launches(
    computations: dict[str, list[str]], inside: str, times: int = 1
) -> Iterator[Launch]:
    sizes: dict[str, tuple[int, int]] = {}
    for line in computations[inside]:
        match = _LINE.match(line)
        if not match:
            continue
        name, shape, kind, rest = match.groups()
        sizes[name] = _size(shape)
        if kind in _FREE or "ConcatBitcast" in line:
            continue
        if kind in ("call", "while"):
            turns = re.search(r'"known_trip_count":\{"n":"(\d+)"', line)
            inner = _attribute([line], "body" if kind == "while" else "to_apply")
            for body in inner:
                yield from _launches(
                    computations, body, times * int(turns[1] if turns else 1)
                )
            continue
        operands = re.findall(r"%([\w.\-]+)", rest.partition(")")[0])
        arrays = [sizes[name], *(sizes.get(operand, (0, 0)) for operand in operands)]
        moved, padding = map(sum, zip(*arrays, strict=True))
        source = re.search(r'op_name="([^"]*)"', line)
        path = (
            re.sub(r"^.*?/body/(closed_call/)?(jit\(step\)/)?", "", source[1])
            if source
            else ""
        )
        yield Launch(_kind(kind, line), path, moved, padding, times)


def _kind(kind: str, line: str) -> str:
    if kind == "fusion" and (of := re.search(r"kind=k(\w+)", line)):
        if of[1] == "Custom" and "gemm" in line:
            return "matrix product"
        return _FUSIONS.get(of[1], of[1])
    if kind == "custom-call" and (
        to := re.search(r'custom_call_target="([^"]+)"', line)
    ):
        return "convolution (cuDNN)" if "conv" in to[1] else to[1].strip("_")
    return kind


def _size(shape: str) -> tuple[int, int]:
    """Bytes of a shape, or of all in a tuple of them; and how many are of padding."""
    total = padding = 0
    for kind, bits, dims, layout, tile in _SHAPE.findall(shape):
        width = _BYTES.get(kind, int(bits or 0) // 8)
        sides = _numbers(dims)
        needed = width * math.prod(sides)
        for side, axis in zip(
            reversed(_numbers(tile)), _numbers(layout), strict=False
        ):  # the fastest axis first
            sides[axis] = -(-sides[axis] // side) * side
        taken = width * math.prod(sides)
        total, padding = total + taken, padding + taken - needed
    return total, padding


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]
