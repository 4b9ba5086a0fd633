"""MLflow: $MLFLOW_TRACKING_URI, else mlflow.db and mlruns in the current folder."""

import json
import logging
import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import filelock
import mlflow
from mlflow.entities import Metric, Param
from PIL import Image

from gan_jax.errors import without_passwords
from gan_jax.run.tracking.tracker import PROJECT, Line, Outcome, Run, numbers, prefer
from gan_jax.system.files import cache_folder

prefer(MLFLOW_HTTP_REQUEST_TIMEOUT="10", MLFLOW_HTTP_REQUEST_MAX_RETRIES="2")
_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
_MOST = 1000  # metrics, and 100 parameters, of a call


class Tracker:
    """A run of MLflow: `gan_jax.run.tracking.tracker`.

    Its parameters cannot be changed. What a continued run has otherwise, which can be
    the number of steps alone, is a tag.
    """

    def __init__(self, run: Run, record: str | None) -> None:
        """Opens the run of that id, or a new one where there is none."""
        if "MLFLOW_LOGGING_LEVEL" not in os.environ:
            logging.getLogger("mlflow").setLevel(logging.WARNING)
        cache_folder().mkdir(parents=True, exist_ok=True)
        # Two processes that make the same SQLite store at once break it.
        with filelock.FileLock(cache_folder() / "mlflow.lock"):
            self._client = mlflow.MlflowClient()
        found = self._find(record)
        self.is_new = found is None
        if found is None:
            found = self._client.create_run(self._experiment(), run_name=run.name)
        self.id = found.info.run_id
        self._put_config(run.config, found.data)
        self._is_trained = run.is_trained
        if run.is_trained:
            self._client.update_run(self.id, status="RUNNING")
        uri = without_passwords(mlflow.get_tracking_uri())
        self.where = f"mlflow: run {self.id} in {uri}"
        if not uri.startswith("http"):
            self.where += f"; to look at it: mlflow ui --backend-store-uri {uri}"

    def _find(self, record: str | None) -> Any:
        if record is None:
            return None
        try:
            return self._client.get_run(record)
        except mlflow.MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return self._client.create_experiment(name)
            except mlflow.MlflowException:  # another process was first
                found = self._client.get_experiment_by_name(name)
        return found.experiment_id

    def _put_config(self, config: dict[str, Any], there: Any) -> None:
        params = []
        for name, value in config.items():
            text = value if isinstance(value, str) else json.dumps(value)
            if name not in there.params:
                params.append(Param(name, text))
            elif there.tags.get(name, there.params[name]) != text:
                self._client.set_tag(self.id, name, text)
        self._client.log_batch(self.id, params=params)

    def scalars(self, lines: Sequence[Line]) -> None:
        """All of them in few calls."""
        now = int(1000 * time.time())
        metrics = [
            Metric(name, value, now, line["step"])
            for line in lines
            for name, value in numbers(line).items()
        ]
        for i in range(0, len(metrics), _MOST):
            self._client.log_batch(self.id, metrics=metrics[i : i + _MOST])

    def image(self, step: int, name: str, path: pathlib.Path) -> None:
        """An image of that key and step, for the page of a run's images."""
        with Image.open(path) as picture:
            self._client.log_image(self.id, picture, key=name, step=step)

    def close(self, outcome: Outcome) -> None:
        """Says how the run has ended."""
        if self._is_trained:
            self._client.set_terminated(self.id, _STATUS[outcome])
