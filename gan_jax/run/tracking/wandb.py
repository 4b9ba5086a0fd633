"""Weights & Biases: online where the user has an API key, else offline."""

import pathlib
from collections.abc import Sequence
from typing import Any

import wandb

from gan_jax.run.tracking.tracker import PROJECT, Line, Outcome, Run, numbers, prefer

prefer(WANDB_SILENT="true", WANDB_CONSOLE="off")
prefer(WANDB_INIT_TIMEOUT="20", WANDB_FINISH_TIMEOUT="30")  # seconds


class Tracker:
    """A run of wandb: `gan_jax.run.tracking.tracker`.

    The generator's step is a metric that the others are drawn over. wandb's own step
    only grows, and would drop what a resumed run writes again.
    """

    def __init__(self, run: Run, record: str | None) -> None:
        """Opens the run of that id, or a new one; never asks for a key."""
        settings = wandb.setup().settings
        self.is_new = record is None
        self._is_trained = run.is_trained

        def begin(mode: Any) -> Any:
            return wandb.init(
                project=settings.project or PROJECT,
                name=settings.run_name or run.name,
                id=record or settings.run_id,
                resume="allow",
                config=run.config,
                allow_val_change=True,  # a run may go on to more steps
                mode=mode,
            )

        why = "offline"
        if settings.mode != "online":
            self._run = begin(None)
        elif not wandb.login(prompt=False, verify=False):
            why = "offline, without an API key"
            self._run = begin("offline")
        else:
            try:
                self._run = begin(None)
            except wandb.errors.CommError:
                why = "offline, since its server does not answer"
                wandb.teardown()  # else its process still holds the id
                self._run = begin("offline")
        self.id = self._run.id
        folder = self._run.settings.sync_dir
        self.where = f"wandb ({why}): {folder}; to send it: wandb sync {folder}"
        if self._run.settings.mode != "offline":
            self.where = f"wandb: {self._run.url or self._run.settings.mode}"
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def scalars(self, lines: Sequence[Line]) -> None:
        """A row of the history each."""
        for line in lines:
            self._run.log(numbers(line) | {"step": line["step"]})

    def image(self, step: int, name: str, path: pathlib.Path) -> None:
        """A row of its own."""
        self._run.log({name: wandb.Image(str(path)), "step": step})

    def close(self, outcome: Outcome) -> None:
        """Waits until all is sent, half a minute at most."""
        is_well = outcome == "finished" or not self._is_trained
        self._run.finish(exit_code=0 if is_well else 1)
