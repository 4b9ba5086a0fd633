"""What a run computes: its settings, as written to config.json and read again."""

import dataclasses
import json
import pathlib
import platform
from importlib import metadata
from typing import Any

import jax

from gan_jax import __version__, own_code, recipes
from gan_jax.data import Dataset, Description, about
from gan_jax.devices import available
from gan_jax.errors import UserError
from gan_jax.recipes import Recipe
from gan_jax.system import remote
from gan_jax.system.files import write_text
from gan_jax.training import GAN

INIT_FROM = "init_from"  # a setting; in config.json beside them, that run's path
_LATER = (
    *("network", "width", "spectral_norm", "schedule", "mirror", "augment"),
    "ema_grows_from",
)
# Left out of the settings: those that runs of before had no choice of.
USUAL: dict[str, Any] = {"shape": [28, 28, 1], "num_classes": 10, "sources": {}}
USUAL[INIT_FROM] = None
USUAL |= {f.name: f.default for f in dataclasses.fields(Recipe) if f.name in _LATER}
_MOST = 2**16  # pixels of a side, and classes
_OF_PLACE = {"dataset": str, "data_dir": str, "image_size": int, "channels": str}
_OF_PLACE |= {"background": str, "skip_damaged": bool}
_RECIPE_FIELDS = {field.name for field in dataclasses.fields(Recipe)}


@dataclasses.dataclass(frozen=True)
class Config:
    """What a run computes; two runs of equal configs end in the same numbers.

    Attributes:
      recipe: every number of the GAN.
      dataset: the data set really used.
      seed: of weights, data order and latents.
      steps: generator steps in all; a finished run may be continued with more.
      num_examples: how many of the training images, the first; None for all.
      shape: of an image, ``(height, width, channels)``.
      num_classes: of the labels that a conditional GAN is given; of another GAN it is
        left as it is, since nothing depends on it.
      sources: code of the user's own that the recipe names: places and their SHA-256.
      init_from: SHA-256 of the weights that it began with, another run's
        (`beginning.read`); None for those that the seed gives.
    """

    recipe: Recipe
    dataset: str
    seed: int
    steps: int
    num_examples: int | None = None
    shape: tuple[int, int, int] = (28, 28, 1)
    num_classes: int = 10
    sources: tuple[tuple[str, str], ...] = ()
    init_from: str | None = None

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        dataset: Dataset | Description | str,
        seed: int,
        steps: int,
        num_examples: int | None = None,
    ) -> "Config":
        """The run of a recipe on a data set, or on a published one by its name.

        Raises:
          UserError: code that the recipe names is not there.
        """
        name, there = (
            (dataset, about(dataset))
            if isinstance(dataset, str)
            else (dataset.name, dataset)
        )
        config = cls(
            recipe,
            name,
            seed,
            steps,
            num_examples,
            there.shape,
            sources=tuple(recipes.sources(recipe).items()),
        )
        if not recipe.conditional:
            return config
        return dataclasses.replace(config, num_classes=there.num_classes)

    def flags(self) -> dict[str, Any]:
        """The settings by the names of their flags.

        Of the images only what differs from Fashion-MNIST, of the networks from the
        reference ones and so on, so that runs of before there were others are the same.
        """
        flat = dataclasses.asdict(self)
        flat = flat.pop("recipe") | flat
        flat |= {"shape": list(self.shape), "sources": dict(self.sources)}
        return {n: v for n, v in flat.items() if n not in USUAL or v != USUAL[n]}

    @classmethod
    def from_flags(cls, flags: dict[str, Any]) -> "Config":
        """The inverse of `flags`, which anybody may have written.

        Raises:
          ValueError, KeyError, TypeError, AttributeError: they are none.
          UserError: a recipe that no GAN can have.
        """
        flags = dict(flags)
        needed = _RECIPE_FIELDS - {*_LATER}
        given = needed | _RECIPE_FIELDS & flags.keys()
        recipe = Recipe(**{name: flags.pop(name) for name in sorted(given)})
        recipes.check(recipe)
        if "shape" in flags:
            flags["shape"] = tuple(flags["shape"])
        flags["sources"] = tuple(dict(flags.get("sources", {})).items())
        config = cls(recipe=recipe, **flags)
        _check_types(config)
        return config

    def make_gan(self, axis_name: str | None = None) -> GAN:
        """What it trains: `recipes.make_gan` for the images of its data set.

        Raises:
          UserError: code that it names is not there, or is not as it was.
        """
        if changed := self.changed_sources():
            raise UserError(
                f"{changed[0]} is not as it was when this run began, and its numbers"
                " would mean something else: put it back as it was, or train again"
                " with --overwrite"
            )
        gan = recipes.make_gan(
            self.recipe,
            shape=self.shape,
            num_classes=self.num_classes,
            axis_name=axis_name,
            steps=self.steps,
        )
        return dataclasses.replace(gan, ema_warmup=self.init_from is None)

    def changed_sources(self) -> list[str]:
        """Places of code that the recipe names, which is not as it was.

        Raises:
          UserError: the code is not there.
        """
        now = recipes.sources(self.recipe).items()
        return [place for place, sha in now if dict(self.sources).get(place) != sha]


def write_config(folder: pathlib.Path, config: Config, **notes: Any) -> None:
    """Writes ``config.json``: the settings, then notes, versions and devices."""
    usual = {name: v for name, v in USUAL.items() if name != "num_classes"}
    contents = {
        "flags": usual | config.flags(),
        **notes,
        "versions": versions(),
        "devices": available.describe(jax.devices()[0]),
    }
    write_text(folder / "config.json", json.dumps(contents, indent=2) + "\n")


def versions() -> dict[str, str]:
    """Of everything that the numbers of a run depend on."""
    libraries = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint")
    return {
        "gan_jax": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in libraries},
    }


def read_config(folder: pathlib.Path) -> Config:
    """Reads a run's settings back.

    Raises:
      UserError: there is no run in the folder, or its config.json is damaged.
    """
    check_letters(folder)
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(
            f"no run in {folder}: it has no config.json; train one with"
            f" python -m experiments.train --workdir={folder}"
        )
    try:
        found = read_json(path)
        config = None if "study" in found else Config.from_flags(found["flags"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path} is damaged or of another version ({why}): train again with"
            " --overwrite"
        ) from error
    if config is None:
        raise UserError(
            f"{folder} holds a study, and no run: the last lines that a study prints"
            " are the commands that train its best GANs as runs"
        )
    refuse_code_inside(config, folder)
    return config


def read_json(path: pathlib.Path) -> Any:
    """Reads JSON that anybody may have written.

    Raises:
      ValueError: it is none.
    """
    try:
        return json.loads(path.read_bytes())
    except (RecursionError, OSError) as error:
        raise ValueError(str(error)) from error


def refuse_code_inside(config: Config, folder: pathlib.Path) -> None:
    """Refuses a run whose code lies in its own folder, which may be anybody's.

    Raises:
      UserError: the same.
    """
    for _, name in recipes.of_ones_own(config.recipe):
        if own_code.in_folder(name, folder):
            raise UserError(
                f"{folder} names code that lies in itself ({name}), and it may be"
                " anybody's: move it elsewhere, look at it, and train again"
            )


def _check_types(config: Config) -> None:
    if not all(isinstance(text, str) for pair in config.sources for text in pair):
        raise ValueError(f"sources={config.sources}")
    if not isinstance(config.dataset, str):
        raise ValueError(f"dataset={config.dataset}")
    if not isinstance(config.init_from, str | None):
        raise ValueError(f"init_from={config.init_from}")
    for name, least in (("seed", 0), ("steps", 1), ("num_examples", 1)):
        value = getattr(config, name)
        if value is None and name == "num_examples":
            continue
        if type(value) is not int or not least <= value < 2**32:
            raise ValueError(f"{name}={value}")
    sizes = (*config.shape, config.num_classes)
    in_range = all(type(n) is int and 0 <= n <= _MOST for n in sizes)
    if len(sizes) != 4 or not in_range or 0 in config.shape:
        raise ValueError(f"shape={config.shape}, num_classes={config.num_classes}")


def read_warning(folder: pathlib.Path) -> str | None:
    """What a user of the run's results has to know: garments stood in, perhaps."""
    warning = read_json(folder / "config.json").get("warning")
    return None if warning is None else str(warning)


def read_place(folder: pathlib.Path) -> dict[str, Any]:
    """The flags that name a run's data set; none of a run of before they were kept.

    Raises:
      UserError: they are damaged.
    """
    place = read_json(folder / "config.json").get("data", {})
    if not isinstance(place, dict) or any(
        type(value) is not _OF_PLACE.get(name) for name, value in place.items()
    ):
        raise UserError(
            f"{folder / 'config.json'} does not say where its images are: name them"
            " with --dataset and --data_dir"
        )
    return place


def check_letters(folder: pathlib.Path) -> None:
    """Refuses a name that checkpoints cannot be written under.

    Raises:
      UserError: it has other letters than ASCII and the locale, as C, knows none; or
        it is the address of a store.
    """
    remote.refuse(folder)
    try:
        str(folder.absolute()).encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"--workdir={folder} has letters that are not in this locale: set"
            " PYTHONUTF8=1, or name a folder in plain ASCII"
        ) from error
