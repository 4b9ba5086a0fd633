"""A run folder: what a training run leaves behind, and how to read it again.

config.json      every setting, the data set really used, versions, devices
metrics.jsonl    one line a log step
events.out.*     the same for TensorBoard
real.png         a hundred training images
samples/         step_000050.png ...: the same hundred latents over training
curves.png       the metrics, drawn
checkpoints/     orbax checkpoints of the training state
"""

import dataclasses
import json
import os
import pathlib
import platform
import shutil
from importlib import metadata
from typing import Any

import jax

from gan_jax import __version__, recipes
from gan_jax.errors import UserError
from gan_jax.files import write_text
from gan_jax.recipes import Recipe
from gan_jax.training import GANState

_KEPT = 2  # checkpoints: the newest, and one before it
_OURS = (
    "config.json",
    "metrics.jsonl",
    "real.png",
    "curves.png",
    "evaluation.json",
    "neighbours.png",
    "interpolation.png",
    "training.gif",
    "samples",
    "checkpoints",
)
_RECIPE_FIELDS = [field.name for field in dataclasses.fields(Recipe)]


@dataclasses.dataclass(frozen=True)
class Config:
    """What a run computes; two runs of equal configs end in the same numbers.

    Attributes:
      recipe: every number of the GAN.
      dataset: the data set really used.
      seed: of weights, data order and latents.
      steps: generator steps in all; a finished run may be continued with more.
    """

    recipe: Recipe
    dataset: str
    seed: int
    steps: int

    def flags(self) -> dict[str, Any]:
        """The settings by the names of their flags."""
        flat = dataclasses.asdict(self)
        return flat.pop("recipe") | flat


def write_config(folder: pathlib.Path, config: Config, **notes: Any) -> None:
    """Writes ``config.json``: the settings, then notes, versions and devices."""
    devices = jax.devices()
    versions = {
        name: metadata.version(name)
        for name in ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint")
    }
    contents = {
        "flags": config.flags(),
        **notes,
        "versions": {"gan_jax": __version__, "python": platform.python_version()}
        | versions,
        "devices": {"kind": devices[0].device_kind, "platform": devices[0].platform},
    }
    write_text(folder / "config.json", json.dumps(contents, indent=2) + "\n")


def read_config(folder: pathlib.Path) -> Config:
    """Reads a run's settings back.

    Raises:
      UserError: there is no run in the folder, or its config.json is damaged.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(
            f"no run in {folder}: it has no config.json; train one with"
            f" python -m experiments.train --workdir={folder}"
        )
    try:
        flags = json.loads(path.read_text())["flags"]
        recipe = Recipe(**{name: flags.pop(name) for name in _RECIPE_FIELDS})
        recipes.check(recipe)
        return Config(recipe=recipe, **flags)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is damaged or of another version ({error}): train again with"
            " --overwrite"
        ) from error


def read_warning(folder: pathlib.Path) -> str | None:
    """What a user of the run's results has to know: garments stood in, perhaps."""
    return json.loads((folder / "config.json").read_text()).get("warning")


def check_place(folder: pathlib.Path) -> None:
    """Makes sure that the folder may be written to, or made; writes nothing itself.

    Raises:
      UserError: it is a file, or it cannot be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--workdir={folder} is a file: name a folder")
    nearest = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not nearest.is_dir() or not os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
        raise UserError(f"cannot write to --workdir={folder}: choose another folder")


def check_folder(folder: pathlib.Path) -> None:
    """Makes sure that some run may write to the folder; writes nothing itself.

    Raises:
      UserError: it is a file, it cannot be written to, or it holds files and no run.
    """
    check_place(folder)
    entries = sorted(p.name for p in folder.iterdir()) if folder.exists() else []
    if entries and "config.json" not in entries:
        raise UserError(
            f"--workdir={folder} holds files and no run ({entries[0]}...): name an"
            " empty or a new folder"
        )


def check(folder: pathlib.Path, config: Config, *, overwrite: bool) -> None:
    """Makes sure that a run of this config may write to the folder.

    Args:
      folder: run folder.
      config: what the run is to compute.
      overwrite: whether a run that is there may be deleted.

    Raises:
      UserError: as `check_folder`; or the folder holds the run of another
        configuration, or one that is trained further than this is to be.
    """
    check_folder(folder)
    if (folder / "config.json").exists() and not overwrite:
        _refuse_other_config(folder, config)


def prepare(folder: pathlib.Path, config: Config, *, overwrite: bool) -> None:
    """Makes the folder of a run, without the run that it held if told to overwrite.

    Args and errors as in `check`.
    """
    check(folder, config, overwrite=overwrite)
    if (folder / "config.json").exists() and overwrite:
        _delete_run(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write to --workdir={folder} ({error.strerror}): choose another"
            " folder"
        ) from error


def _refuse_other_config(folder: pathlib.Path, config: Config) -> None:
    there, here = read_config(folder).flags(), config.flags()
    differing = [
        f"--{name}={there[name]} there and {here[name]} now"
        for name in here
        if name != "steps" and there[name] != here[name]
    ]
    if differing:
        raise UserError(
            f"--workdir={folder} holds another run ({', '.join(differing)}): use"
            " another --workdir, or --overwrite"
        )
    trained = latest_checkpoint(folder)
    if trained is not None and config.steps < trained:
        raise UserError(
            f"--workdir={folder} is trained up to step {trained} already, and"
            f" --steps={config.steps} asks for less: ask for more, or use --overwrite"
        )


def latest_checkpoint(folder: pathlib.Path) -> int | None:
    """Step of a run's newest checkpoint, None where there is none; only looks."""
    names = (path.name for path in (folder / "checkpoints").glob("*"))
    return max((int(name) for name in names if name.isdecimal()), default=None)


def require_checkpoint(folder: pathlib.Path) -> int:
    """Step of a run's newest checkpoint; only looks.

    Raises:
      UserError: there is none.
    """
    step = latest_checkpoint(folder)
    if step is None:
        raise UserError(
            f"the run in {folder} has no checkpoint yet: let experiments.train reach"
            " its first --checkpoint_every"
        )
    return step


def _delete_run(folder: pathlib.Path) -> None:
    events = [path.name for path in folder.glob("events.out.*")]
    # What makes the folder a run goes last: a deletion that breaks off can be repeated.
    for name in (*events, *reversed(_OURS)):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


class MetricsLog:
    """Appends to metrics.jsonl and to TensorBoard's events.

    A log that is opened at step k forgets what was written after step k, so that an
    interrupted run goes on without a gap or a duplicate.
    """

    def __init__(self, folder: pathlib.Path, step: int) -> None:
        """Opens the log of a run that goes on after ``step``."""
        from tensorboardX import SummaryWriter  # slow to import

        self._path = folder / "metrics.jsonl"
        kept = [line for line in read_metrics(folder) if line["step"] <= step]
        write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self.seconds = kept[-1]["seconds"] if kept else 0.0
        earlier = any(folder.glob("events.out.*"))
        purge = step + 1 if earlier else None
        self._events = SummaryWriter(str(folder), purge_step=purge)

    def write(self, line: dict[str, Any]) -> None:
        """Writes a line; it must hold ``step``."""
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in line.items():
            if name != "step":
                self._events.add_scalar(name, value, line["step"])

    def close(self) -> None:
        """Flushes the events."""
        self._events.close()


def read_metrics(folder: pathlib.Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; a last line that was cut off is left out.

    Raises:
      UserError: another line is damaged.
    """
    path = folder / "metrics.jsonl"
    # Every whole line ends in a newline, so the last part is empty or cut off.
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    try:
        entries = [json.loads(line) for line in lines]
        for entry in entries:
            int(entry["step"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is damaged ({error}): delete the bad line, or train again with"
            " --overwrite"
        ) from error
    return entries


class Checkpoints:
    """The training states of a run, saved by orbax in ``checkpoints/``."""

    def __init__(self, folder: pathlib.Path) -> None:
        """Opens the checkpoints of a run folder."""
        import orbax.checkpoint as ocp  # slow to import

        self._ocp = ocp
        options = ocp.CheckpointManagerOptions(max_to_keep=_KEPT)
        self._manager = ocp.CheckpointManager(
            (folder / "checkpoints").absolute(), options=options
        )

    def latest(self) -> int | None:
        """Step of the newest checkpoint, None where there is none."""
        return self._manager.latest_step()

    def save(self, step: int, state: GANState) -> None:
        """Saves a state in the background; the state may be donated afterwards."""
        self._manager.save(step, args=self._ocp.args.StandardSave(_plain(state)))

    def restore(self, like: GANState) -> GANState:
        """Reads the newest state.

        Args:
          like: a state of the same GAN, or `jax.eval_shape` of one; its values are
            not used. Concrete arrays say where the state goes; shapes alone, to the
            first device.

        Raises:
          UserError: the checkpoint is damaged.
        """
        step = self.latest()
        # Where the run was trained there may have been more devices than here.
        here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        plain_like = jax.tree.map(
            lambda leaf: (
                leaf
                if isinstance(leaf, jax.Array)
                else jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here)
            ),
            _plain(like),
        )
        args = self._ocp.args.StandardRestore(plain_like)
        try:
            plain = self._manager.restore(step, args=args)
        except Exception as error:  # orbax and tensorstore raise many kinds
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise UserError(
                f"checkpoint {step} in {self._manager.directory} cannot be read"
                f" ({why}): delete its folder, or train again with --overwrite"
            ) from error
        return plain.replace(key=jax.random.wrap_key_data(plain.key))

    def close(self) -> None:
        """Waits until every checkpoint is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()


def _plain(state: GANState) -> GANState:
    """With the key as numbers: a typed key is no array to a file."""
    if isinstance(state.key, jax.ShapeDtypeStruct):
        return state.replace(key=jax.eval_shape(jax.random.key_data, state.key))
    return state.replace(key=jax.random.key_data(state.key))
