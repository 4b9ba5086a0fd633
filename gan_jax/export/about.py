"""What an exported generator says of itself, and how it is read again."""

import json
import pathlib
from typing import Any

from gan_jax import data, training
from gan_jax.run import configuration

_VERSION = 1  # of what is written


def describe(
    workdir: pathlib.Path, config: configuration.Config, state: training.GANState
) -> dict[str, Any]:
    """What is known of a run's generator, as JSON has it.

    Returns:
      ``latent_size``, ``num_classes`` (None where unconditional) and ``shape``
      ``[height, width, channels]``; ``run``, the folder's name, ``step``, ``seed`` and
      whether ``weights`` are the moving averages; ``dataset``, its ``licence`` and a
      ``warning`` where it stood in for another; ``flags``, every setting by the name of
      its flag; ``versions``.
    """
    recipe = config.recipe
    return {
        "gan_jax_export": _VERSION,
        "run": workdir.resolve().name,
        "loss": recipe.loss,
        "step": int(state.step),
        "seed": config.seed,
        "weights": "moving averages" if state.ema else "of the last step",
        "latent_size": recipe.latent_size,
        "num_classes": config.num_classes if recipe.conditional else None,
        "shape": list(config.shape),
        "dataset": config.dataset,
        "licence": data.licence(config.dataset),
        "warning": configuration.read_warning(workdir),
        "flags": config.flags(),
        "versions": configuration.versions(),
    }


def parse(text: str | bytes) -> dict[str, Any]:
    """Reads what a file says of itself, which anybody may have written.

    Raises:
      ValueError: it is not of this project, or of a later version of it.
    """
    about = json.loads(text)
    if not isinstance(about, dict) or "gan_jax_export" not in about:
        raise ValueError("it says nothing of what it is")
    if about["gan_jax_export"] != _VERSION:
        raise ValueError(f"it is of version {about['gan_jax_export']}")
    sizes = [about.get("latent_size"), *about.get("shape", ())]
    if about.get("num_classes") is not None:
        sizes.append(about["num_classes"])
    if len(sizes) < 4 or not all(type(n) is int and n > 0 for n in sizes):
        raise ValueError(f"its sizes are {sizes}")
    return about


def check_inputs(about: dict[str, Any], shapes: list[tuple[Any, ...]]) -> None:
    """Makes sure that a program's inputs are those that its file speaks of.

    Raises:
      ValueError: they are others.
    """
    wanted = [(about["latent_size"],)] + [()] * (about["num_classes"] is not None)
    if [shape[1:] for shape in shapes] != wanted:
        raise ValueError(f"its inputs are {shapes}")
