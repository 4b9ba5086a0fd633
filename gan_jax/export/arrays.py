"""A generator's weights under the names that Flax gives them: safetensors, and npz."""

import dataclasses
import io
import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from gan_jax import own_code as own
from gan_jax import recipes, training
from gan_jax.errors import UserError
from gan_jax.export import about
from gan_jax.export.libraries import library
from gan_jax.run.configuration import Config
from gan_jax.run.sampling import images_of

_ABOUT, _SAFETENSORS = "about", "safetensors.numpy"


def flat(state: training.GANState) -> dict[str, np.ndarray]:
    """``params/Dense_0/kernel`` and so on, of what samples are drawn with."""
    nested = jax.tree.map(np.asarray, training.weights(state)._asdict())
    return traverse_util.flatten_dict(nested, sep="/")


def to_safetensors(state: training.GANState, said: dict[str, Any]) -> bytes:
    """The bytes of a .safetensors file; its metadata has ``about``, as JSON.

    Raises:
      UserError: safetensors is not installed.
    """
    return library(_SAFETENSORS, "safetensors").save(
        flat(state), {_ABOUT: json.dumps(said)}
    )


def to_npz(state: training.GANState, said: dict[str, Any]) -> bytes:
    """The bytes of an .npz file; ``about`` is a string of JSON."""
    buffer = io.BytesIO()
    np.savez(buffer, **flat(state), **{_ABOUT: np.array(json.dumps(said))})
    return buffer.getvalue()


def from_safetensors(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a file says of itself, and its arrays.

    Raises:
      UserError: safetensors is not installed.
      Exception: of any kind, it is damaged, or not of this project.
    """
    arrays = library(_SAFETENSORS, "safetensors").load(content)
    # Eight bytes of length, then JSON: `load` leaves the metadata out.
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return about.parse(header.get("__metadata__", {}).get(_ABOUT, "{}")), arrays


def from_npz(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a file says of itself, and its arrays.

    Raises:
      Exception: of any kind, it is damaged, or not of this project.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return about.parse(str(arrays.pop(_ABOUT, "{}"))), arrays


def generator(
    said: dict[str, Any], arrays: dict[str, np.ndarray], *, own_code: bool
) -> Callable[[Any, Any], Any]:
    """The function of latents and labels that weights belong to.

    Args:
      said: what the file says of itself, which anybody may have written.
      arrays: of the file.
      own_code: whether networks of one's own, which it may name, are run.

    Raises:
      UserError: they are not, or are not there, or have changed.
      Exception: of any kind, the weights are of another generator.
    """
    config = Config.from_flags(said["flags"])
    # A generator is a network: whatever else of one's own it was trained with, no code
    # of that is run.
    recipe, usual = config.recipe, recipes.recipe("nonsaturating")
    others = {name: getattr(usual, name) for name in ("loss", "penalty", "optimiser")}
    config = dataclasses.replace(config, recipe=dataclasses.replace(recipe, **others))
    if own.is_own(recipe.network):
        if not own_code:
            raise UserError(
                f"its network is code of somebody's own ({recipe.network}): look at it,"
                " and load the file with own_code=True"
            )
    else:
        config = dataclasses.replace(config, sources=())
    gan = config.make_gan()
    if (said["latent_size"], said["num_classes"]) != (gan.latent_size, gan.num_classes):
        raise ValueError("its sizes are not those of its settings")
    key = jax.random.key(0)
    like = jax.eval_shape(lambda: training.init_state(gan, key, config.shape))
    wanted = traverse_util.flatten_dict(training.weights(like)._asdict(), sep="/")
    if differing := wanted.keys() ^ arrays.keys():
        name = min(differing)
        raise ValueError(f"it has {name} too {'much' if name in arrays else 'little'}")
    for name, here in wanted.items():
        there = arrays[name]
        if (there.shape, there.dtype) != (here.shape, here.dtype):
            raise ValueError(f"{name} is {there.dtype} {list(there.shape)}")
    nested = traverse_util.unflatten_dict(arrays, sep="/")
    player = training.Player(
        nested.get("params", {}), nested.get("batch_stats", {}), ()
    )
    state = training.GANState(
        step=np.int32(said["step"]),
        key=None,
        generator=jax.device_put(player),
        discriminator=None,
        ema=None,
    )
    return lambda z, labels: images_of(gan, state, z, labels)
