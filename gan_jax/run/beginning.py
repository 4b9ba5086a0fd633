"""A run that begins with the weights of another one, as in transfer learning.

Both networks are taken over, which Wang et al. 2018, 'Transferring GANs',
https://arxiv.org/abs/1805.01677, found better than one of them, and the moving average
of the generator's weights. Optimisers, step and key are new.
"""

import pathlib
from functools import partial
from typing import Any, NamedTuple

import jax

from gan_jax import training
from gan_jax.errors import UserError
from gan_jax.run import checkpoints, configuration, finite, sampling


class Beginning(NamedTuple):
    """What another run has learnt.

    Attributes:
      folder: of that run.
      state: of its newest checkpoint, on the host.
      sha256: of all that is taken over.
    """

    folder: pathlib.Path
    state: training.GANState
    sha256: str


def read(folder: pathlib.Path) -> Beginning:
    """Reads the weights of a run's newest checkpoint.

    Args:
      folder: run folder; nothing in it is changed.

    Raises:
      UserError: as `sampling.restore`; code of one's own that it names has changed.
    """
    if changed := configuration.read_config(folder).changed_sources():
        raise UserError(
            f"--init_from={folder} was trained with {changed[0]} as it was then: put"
            " that back, and what is new into another file"
        )
    _, state = sampling.restore(folder)
    state = jax.device_get(state.replace(key=jax.random.key_data(state.key)))
    return Beginning(folder, state, checkpoints.digest(_taken(state)))


def find(
    folder: pathlib.Path, workdir: pathlib.Path, *, overwrite: bool
) -> tuple[str, Beginning | None]:
    """What a run folder is to begin with, or has begun with.

    A run that goes on does not need the other one, which may have been trained further
    or deleted.

    Args:
      folder: run folder whose weights are asked for.
      workdir: run folder to train in.
      overwrite: whether a run that is there is deleted.

    Returns:
      The weights' SHA-256 and, where the run has yet to begin, the weights.

    Raises:
      UserError: as `read`; both folders are the same; the run was about to begin with
        other weights.
    """
    if folder.resolve() == workdir.resolve():
        raise UserError(
            f"--init_from={folder} is --workdir itself: leave it out to go on with that"
            " run, or name another --workdir"
        )
    known = None if overwrite else _known(workdir, folder)
    if known is not None and checkpoints.steps(workdir):
        return known, None
    found = read(folder)
    if known not in (None, found.sha256):
        raise UserError(_changed(folder))
    return found.sha256, found


def _changed(folder: pathlib.Path | None) -> str:
    return (
        f"this run began with other weights than those that are in {folder} now:"
        " train again with --overwrite"
    )


def _known(workdir: pathlib.Path, folder: pathlib.Path) -> str | None:
    """The sum of the weights of a folder that a run has begun with, if it has."""
    path = workdir / "config.json"
    if not path.is_file():
        return None
    config = configuration.read_config(workdir)
    noted = configuration.read_json(path).get(configuration.INIT_FROM)
    if noted != str(folder.absolute()):
        return None
    return config.init_from


def begin(
    fresh: training.GANState, sha256: str | None, beginning: Beginning | None
) -> training.GANState:
    """The state before step 0 of a run that may begin with another one's weights.

    Args:
      fresh: of the GAN that is to be trained, as the seed gives it.
      sha256: of the weights that the run is said to begin with, or None.
      beginning: the weights, or None.

    Returns:
      ``fresh`` with the weights and batch statistics of both networks. Where it keeps a
      moving average and the other run had none, that starts at the generator's weights.

    Raises:
      UserError: the networks are not the same, or the weights are not those.
    """
    if sha256 != (beginning and beginning.sha256):
        raise UserError(_changed(beginning and beginning.folder))
    if beginning is None:
        return fresh
    taken = _fitting(beginning, fresh)
    ema = taken.pop("ema")
    players = {name: getattr(fresh, name).replace(**taken[name]) for name in taken}
    return fresh.replace(ema=ema, **players)


def check(beginning: Beginning, config: configuration.Config) -> None:
    """Refuses weights that a run cannot begin with, before anything is written.

    Raises:
      UserError: as `begin`.
    """
    initialise = partial(training.init_state, config.make_gan())
    key = jax.random.key(0)
    _fitting(beginning, jax.eval_shape(lambda: initialise(key, config.shape)))


def _fitting(beginning: Beginning, fresh: training.GANState) -> dict[str, Any]:
    """What is taken over, the average as ``fresh`` has it."""
    taken, player = _taken(beginning.state), beginning.state.generator
    averaged = taken["ema"] or (player.params, player.batch_stats)
    taken["ema"] = None if fresh.ema is None else averaged
    there, here = _forms(taken), _forms(_taken(fresh))
    for name in here | there:
        if there.get(name) != here.get(name):
            raise UserError(
                f"--init_from={beginning.folder} is of other networks, images or labels"
                f" ({name} is {there.get(name)} there and {here.get(name)} here): use"
                " the flags that it was trained with, as in its config.json"
            )
    return taken


def _taken(state: training.GANState) -> dict[str, Any]:
    players = {"generator": state.generator, "discriminator": state.discriminator}
    taken: dict[str, Any] = {
        name: {"params": player.params, "batch_stats": player.batch_stats}
        for name, player in players.items()
    }
    return taken | {"ema": state.ema}


def _forms(tree: Any) -> dict[str, str]:
    leaves = zip(finite.names(tree), jax.tree.leaves(tree), strict=True)
    return {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in leaves}
