"""trackio: a local database, or a Space where $TRACKIO_SPACE_ID names one."""

import pathlib
import secrets
from collections.abc import Sequence

import matplotlib.figure  # noqa: F401  trackio fails where another thread has half of it
import trackio

from gan_jax.run.tracking.tracker import PROJECT, Line, Outcome, Run, numbers


class Tracker:
    """A run of trackio: `gan_jax.run.tracking.tracker`.

    trackio finds a run by its name alone, so a few letters keep runs of folders of the
    same name apart. It writes in a thread, and warns itself where it cannot.
    """

    where = ""  # trackio prints it

    def __init__(self, run: Run, record: str | None) -> None:
        """Opens the run of that name, or a new one."""
        self.is_new = record is None
        self.id = record or f"{run.name}-{secrets.token_hex(3)}"
        self._run = trackio.init(
            project=PROJECT,
            name=self.id,
            config=run.config,
            resume="never" if self.is_new else "allow",
            embed=False,
        )

    def scalars(self, lines: Sequence[Line]) -> None:
        """A row each."""
        for line in lines:
            self._run.log(numbers(line), step=line["step"])

    def image(self, step: int, name: str, path: pathlib.Path) -> None:
        """A row of its own."""
        self._run.log({name: trackio.Image(str(path))}, step=step)

    def close(self, outcome: Outcome) -> None:
        """Waits until all is written, half a minute at most."""
        trackio.finish()
