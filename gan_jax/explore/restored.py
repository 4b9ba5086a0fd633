"""Runs that are looked at again and again: restored once, compiled once."""

import dataclasses
import functools
import pathlib
import threading

from gan_jax import recipes, training
from gan_jax.errors import UserError
from gan_jax.explore import folders
from gan_jax.run import checkpoints, configuration, sampling

_KEPT = 4  # runs at a time
_lock = threading.Lock()  # two pages that ask for the same run wait for one another


@dataclasses.dataclass(frozen=True, eq=False)
class Restored:
    """A run's newest whole checkpoint; equal to itself alone, so that it can be a key.

    Attributes:
      config: of the run.
      gan: what is trained; one object for all runs of equal settings, so that what is
        compiled for it is compiled once.
      state: on the first device.
      warnings: lines about damaged checkpoints, and about the data.
    """

    config: configuration.Config
    gan: training.GAN
    state: training.GANState
    warnings: tuple[str, ...]

    @functools.cached_property
    def step(self) -> int:
        """Generator steps that were taken."""
        return int(self.state.step)


def restore(root: pathlib.Path, name: str, *, own_code: bool = False) -> Restored:
    """A run by its name, from memory if its checkpoints are as they were.

    Args:
      root: of all runs.
      name: as `folders.listing` has it; anything else is refused.
      own_code: whether code of one's own, which lies anywhere, may be run.

    Raises:
      UserError: as `folders.find` and `sampling.restore`; a file of the run leads
        outside of the root; it needs code of one's own and must not have it.
    """
    folder = folders.find(root, name)
    folders.require_all_inside(root, folder)
    config = configuration.read_config(folder)
    own = recipes.of_ones_own(config.recipe)
    if own and not own_code:
        flag, code = own[0]
        raise UserError(
            f"{name} has a {flag} of one's own ({code}), which lies outside of {root}:"
            " start with --own_code if that may be run"
        )
    if checkpoints.newest(folder) is None:
        raise UserError(f"{name} has no checkpoint yet: its networks are not there")
    with _lock:
        return _restore(folder, _stamp(folder))


Stamp = tuple[tuple[str, int], ...]


def _stamp(folder: pathlib.Path) -> Stamp:
    """What changes when a run has another checkpoint, or other settings."""
    paths = [folder / "config.json"]
    for step in checkpoints.steps(folder):
        paths += sorted((folder / checkpoints.FOLDER / str(step)).rglob("*"))
    stamps = []
    for path in paths:
        try:
            stamps.append((path.name, path.stat().st_mtime_ns))
        except FileNotFoundError:  # a run that is trained deletes its oldest
            continue
    return tuple(stamps)


@functools.lru_cache(maxsize=_KEPT)
def _restore(folder: pathlib.Path, stamp: Stamp) -> Restored:
    warnings: list[str] = []
    gan, state = sampling.restore(folder, say=warnings.append)
    config = configuration.read_config(folder)
    if warning := configuration.read_warning(folder):
        warnings.append(warning)
    return Restored(config, _same(config, gan), state, tuple(warnings))


_gans: dict[configuration.Config, training.GAN] = {}


def _same(config: configuration.Config, gan: training.GAN) -> training.GAN:
    """The first GAN of these settings; of the 64 that were asked for last."""
    found = _gans.pop(config, gan)
    _gans[config] = found
    while len(_gans) > 64:
        del _gans[next(iter(_gans))]
    return found
