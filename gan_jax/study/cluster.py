"""Carries out the waves of a study on a Ray cluster: each wave is a task of Ray's.

A task asks for what a wave is trained on: GPUs, or cores of a processor. Ray decides
where it runs, and runs it again elsewhere where its node is lost. The data set, and
what GANs are measured by, lie in Ray's object store: each node gets them once.

Source: Moritz et al. 2018, https://arxiv.org/abs/1712.05889
"""

import contextlib
import hashlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import Any

from gan_jax import recipes
from gan_jax.data import Description
from gan_jax.devices import compilation
from gan_jax.errors import UserError
from gan_jax.study import connection
from gan_jax.study.engines import Local, Result, Subject
from gan_jax.study.waves import Wave
from gan_jax.system.files import reading
from gan_jax.system.remote import Place, is_remote

_RETRIES = 20  # of a wave whose node or process was lost
_POLL = 0.5  # seconds between two looks at whether to stop
_MOST_FAILED = 3  # waves that fail one after another before the study ends


class Cluster:
    """An engine (`driver.Engine`) that hands each wave to Ray.

    Attributes:
      images: what there is to know of the training split.
      device: kind of the devices that data were prepared on.
      floor: the Frechet distance of training images, as many as samples of a GAN.
    """

    def __init__(
        self,
        load: Callable[[], Subject],
        num_devices: int,
        should_stop: Callable[[], bool],
        say: Callable[[str], None] = print,
        local: type[Local] = Local,
    ) -> None:
        """Has the data set loaded, where possible on this machine.

        Args:
          load: gives what to train on and measure by; called in a task.
          num_devices: that each wave is trained on: GPUs where the cluster has some,
            else cores.
          should_stop: asked twice a second; where it says yes, waves under way are
            saved and no more come.
          say: takes the lines of the report.
          local: what carries out a wave in a task.

        Raises:
          UserError: the data set cannot be had, or not be held; no node has so many
            devices.
        """
        ray = self._ray = connection.require()
        self._should_stop, self._say = should_stop, say
        self._num_devices, self._local = num_devices, local
        self._folder: Place | None = None
        self._mark = ""
        here = ray.get_runtime_context().get_node_id()
        near = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        self._kind = self._find_kind()
        self._stop = (
            ray.remote(_Stop)
            .options(num_cpus=0, scheduling_strategy=near(here, soft=False))
            .remote()
        )
        task = ray.remote(_prepare).options(
            name="data set",
            num_returns=2,
            scheduling_strategy=near(here, soft=True),
            **self._wants(),
        )
        about, self._subject = task.remote(load, self._kind, num_devices)
        try:
            self.images: Description
            self.images, self.device, self.floor = ray.get(about)
        except ray.exceptions.RayError as error:
            raise UserError(_why(error)) from error

    def save_in(self, folder: Place) -> None:
        """Waves are saved in a study's folder, on the nodes that see it.

        Args:
          folder: which holds the study's config.json.
        """
        self._folder = folder if is_remote(folder) else folder.absolute()
        self._mark = _mark(self._folder)

    def run(self, waves: Iterable[Wave]) -> Iterator[Result]:
        """Carries out waves; each is asked for when there is room for it.

        A wave that raises is left out, and said; the others go on.

        Raises:
          UserError: waves were left out.
        """
        ray, task = self._ray, self._ray.remote(_carry_out)
        rest, flying, failed, in_a_row = iter(waves), {}, [], 0
        while True:
            asked = self._should_stop()
            if asked or in_a_row >= _MOST_FAILED:
                self._stop.ask.remote()
                rest = iter(())
            while len(flying) < self._room():
                wave = next(rest, None)
                if wave is None:
                    break
                options = task.options(
                    name=wave.name, max_retries=_RETRIES, **self._wants()
                )
                make = (self._local, [self._subject], self._folder, self._mark)
                reference = options.remote(wave, make, self._kind, self._stop)
                flying[reference] = wave
            if not flying:
                break
            ready, _ = ray.wait([*flying], timeout=_POLL)
            for reference in ready:
                wave = flying.pop(reference)
                try:
                    result = ray.get(reference)
                except ray.exceptions.RayError as error:
                    in_a_row += 1
                    failed.append(f"{wave.name}: {_why(error)}")
                    self._say(f"left out: {failed[-1]}")
                    continue
                if result is not None:
                    in_a_row = 0
                    yield result
        if failed:
            raise UserError(
                f"{len(failed)} of the waves failed, first {failed[0]}: mend that and"
                " start again, which trains what is missing"
            )

    def _find_kind(self) -> str:
        """What tasks ask for.

        Raises:
          UserError: no node has as many of it.
        """
        kind = "GPU" if self._ray.cluster_resources().get("GPU") else "CPU"
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        most = max(int(node["Resources"].get(kind, 0)) for node in nodes)
        if self._num_devices > most:
            raise UserError(
                f"--num_devices={self._num_devices} of kind {kind} are for each wave,"
                f" and no node of the cluster has more than {most}"
            )
        return kind

    def _wants(self) -> dict[str, int]:
        if self._kind == "GPU":
            return {"num_gpus": self._num_devices, "num_cpus": 1}
        return {"num_cpus": self._num_devices}

    def _room(self) -> int:
        """Waves that are under way or wait in Ray: a few more than it can run now."""
        there = self._ray.cluster_resources().get(self._kind, 0)
        slots = int(there // self._num_devices)
        return max(1, slots + 1 + slots // 4)


class _Stop:
    """Whether the study is to stop; an actor, which tasks ask."""

    def __init__(self) -> None:
        self._asked = False

    def ask(self) -> None:
        self._asked = True

    def is_asked(self) -> bool:
        return self._asked


def _mark(folder: Place) -> str:
    """What tells a study's folder from one of the same name on another machine."""
    return hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()


def _why(error: Exception) -> str:
    """The last line of an error of Ray's, which holds the traceback of the task."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    cause = getattr(error, "cause", None)
    text = str(cause) if isinstance(cause, UserError) else lines[-1] if lines else ""
    return f"{' '.join(text.split())[:300] or type(error).__name__}"


def _start(kind: str, num_devices: int) -> None:
    """Sets JAX up in a process of Ray's, which carries out one task after another."""
    import jax

    if kind == "CPU":
        jax.config.update("jax_platforms", "cpu")
        with contextlib.suppress(RuntimeError):  # in use already, with as many
            jax.config.update("jax_num_cpu_devices", num_devices)
    compilation.keep_programs()


def _prepare(
    load: Callable[[], Subject], kind: str, num_devices: int
) -> tuple[tuple[Description, str, float], Subject]:
    _start(kind, num_devices)
    subject = load()
    return (subject.images, subject.device, subject.floor), subject


# Of this process, with its data set and compiled programs; and whether it is to stop.
_engines: dict[str, tuple[Local, Callable[[], bool]]] = {}


def _carry_out(
    wave: Wave, make: tuple[type[Local], list[Any], Any, str], kind: str, stop: Any
) -> Result | None:
    """The task: a wave, or None where it was broken off."""
    _require_same_code(wave)
    local, [subject], folder, mark = make  # in a list it stays a reference
    if subject.hex() not in _engines:
        import ray

        _start(kind, wave.plan.num_devices)
        should_stop = _watch(stop)
        with futures.ThreadPoolExecutor(1) as thread:  # as in `_watch`
            engine = local(thread.submit(ray.get, subject).result(), should_stop)
        if folder is not None and _is_there(folder, mark):
            engine.save_in(folder)
        else:
            print(f"{folder} is not on this machine: what is under way is not saved")
        _engines.clear()
        _engines[subject.hex()] = engine, should_stop
    engine, should_stop = _engines[subject.hex()]
    return None if should_stop() else engine.carry_out(wave)


def _require_same_code(wave: Wave) -> None:
    """Refuses code of one's own that is not as the driver has read it.

    Raises:
      UserError: it is another here, or not here.
    """
    for place, now in recipes.sources(wave.program.recipe).items():
        if wave.sources.get(place) != now:
            raise UserError(
                f"{place} on {socket.gethostname()} is not as the study has read it:"
                " put the same file on all machines, and start again"
            )


def _is_there(folder: Place, mark: str) -> bool:
    """Whether this machine sees the study's folder, and not one of the same name."""
    try:
        with reading(folder):
            return _mark(folder) == mark
    except (OSError, UserError):
        return False


def _watch(stop: Any) -> Callable[[], bool]:
    """Whether the driver is to stop, as a thread learns it twice a second.

    Were it the task itself that waits for the answer, Ray would lend its cores to
    another task meanwhile.
    """
    import ray

    known, asked = threading.Event(), threading.Event()

    def look() -> None:
        try:
            while not asked.is_set():
                if ray.get(stop.is_asked.remote()):
                    asked.set()
                known.set()
                asked.wait(_POLL)
        finally:
            known.set()

    threading.Thread(target=look, daemon=True).start()
    known.wait()
    return asked.is_set
