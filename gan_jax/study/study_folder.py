"""A study's folder: what it holds, and whether a study may go on in it.

config.json  results.json  study.png  samples/   of the study
runs.jsonl   runs.csv                            of its GANs (`gan_jax.study.ledger`)
wave/  rung/                                     of those under way (`trainer`)
optuna.journal                                   of its trials (`search`)
"""

import json
import secrets
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from gan_jax.data import Description
from gan_jax.errors import UserError, without_passwords
from gan_jax.run import configuration
from gan_jax.run.differing import differences
from gan_jax.study import ledger, trainer
from gan_jax.system.files import make_folder, reading, remove, write_text, writing
from gan_jax.system.remote import Place, is_remote

JOURNAL = "optuna.journal"
_UNDER_WAY = (trainer.WAVE, trainer.RUNG)
_OURS = (
    *(ledger.LINES, ledger.TABLE, "results.json", "study.png", "samples", JOURNAL),
    *_UNDER_WAY,
)


def check(workdir: Place, settings: dict[str, Any], overwrite: bool) -> None:
    """Makes sure that the folder is new, or of a study that this one can go on with.

    Args:
      workdir: of the study.
      settings: what all its GANs share, by the names of the flags.
      overwrite: whether a study that is there may be deleted.

    Raises:
      UserError: it is not.
    """
    path = workdir / "config.json"
    with reading(path):
        if not path.exists():
            return
        text = path.read_bytes()
    try:
        there = json.loads(text)["study"]
        differing = differences(there, settings, but=())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"--workdir={workdir} holds something else than a study: name another"
            " folder"
        ) from error
    if overwrite:
        return
    if differing:
        raise UserError(
            f"--workdir={workdir} holds another study ({differing}): use another"
            " --workdir, or --overwrite"
        )
    ledger.read(workdir)


def begin(
    workdir: Place,
    settings: dict[str, Any],
    images: Description,
    device: str,
    overwrite: bool,
    flags: Mapping[str, Any] | None = None,
) -> None:
    """Makes the folder, which `check` has accepted, into that of this study.

    Args:
      workdir: of the study.
      settings: what all GANs share.
      images: what they are trained on.
      device: the kind of it.
      overwrite: whether what another study has left is removed.
      flags: of `experiments.train`, for the commands that train one of them alone.

    Raises:
      UserError: it cannot be written to.
    """
    # Optuna's lock of a process that was killed: this one holds the folder's.
    remove(workdir / f"{JOURNAL}.lock")
    if overwrite:
        for name in _OURS:
            with writing(workdir / name):
                remove(workdir / name)
    contents = {
        "id": _id(workdir) or secrets.token_hex(8),
        "study": settings,
        "command": without_passwords(shlex.join(sys.argv[1:])),
        "flags": flags,
        "warning": images.warning,
        "source": images.source,
        "versions": configuration.versions(),
        "devices": {"kind": device},
    }
    write_text(workdir / "config.json", json.dumps(contents, indent=2) + "\n")
    make_folder(workdir / "samples")


def owner(workdir: Place) -> dict[str, str]:
    """What tells a study's folder from others, and how it is called now.

    Args:
      workdir: of a study that has begun.
    """
    place = str(workdir if is_remote(workdir) else workdir.absolute())
    return {"id": _id(workdir), "workdir": place}


def _id(workdir: Place) -> str:
    """That of the folder, which it keeps; empty where it has none yet."""
    path = workdir / "config.json"
    with reading(path):
        return json.loads(path.read_bytes()).get("id", "") if path.exists() else ""


def end(workdir: Place) -> None:
    """Removes what was kept of GANs under way: all are done.

    Raises:
      UserError: it cannot be removed.
    """
    for name in _UNDER_WAY:
        with writing(workdir / name):
            remove(workdir / name)
