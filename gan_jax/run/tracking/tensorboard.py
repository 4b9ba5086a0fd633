"""TensorBoard's events, in the run folder, without TensorFlow."""

import contextlib
import json
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image

from gan_jax.run.tracking.tracker import Line, Outcome, Run, numbers


@contextlib.contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Inside of it, a package that is not imported yet is not found."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None
    try:
        yield
    finally:
        del sys.modules[package]


# Where PyTorch is installed, tensorboardX imports it for the type of an argument that
# nobody gives it here: seconds of a start, and one more at the end.
with _hidden("torch"):
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto import event_pb2
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.summary import text


class Tracker:
    """Events of tensorboardX, written at once: `gan_jax.run.tracking.tracker`."""

    id = "events"
    where = ""

    def __init__(self, run: Run, record: str | None) -> None:
        """Opens another file of events beside those that are there."""
        self.is_new = not any(run.folder.glob("events.out.*"))
        # Its name has the second, and has to be another than that of a process before.
        self._writer = EventsWriter(str(run.folder / "events"), f".{run.step}")
        if self.is_new:
            rows = [f"    {name}: {json.dumps(v)}" for name, v in run.config.items()]
            self._put(run.step, summary=text("config", "\n".join(rows)))
        else:  # TensorBoard drops what another process wrote after this step
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._put(run.step + 1, session_log=start)

    def scalars(self, lines: Sequence[Line]) -> None:
        """Writes all of them, and waits for the disk once."""
        for line in lines:
            values = [
                Summary.Value(tag=name, simple_value=value)
                for name, value in numbers(line).items()
            ]
            self._put(line["step"], summary=Summary(value=values))
        self._writer.flush()

    def image(self, step: int, name: str, path: pathlib.Path) -> None:
        """Writes the file as it is."""
        with Image.open(path) as picture:
            (width, height), channels = picture.size, len(picture.getbands())
        image = Summary.Image(
            height=height,
            width=width,
            colorspace=channels,
            encoded_image_string=path.read_bytes(),
        )
        self._put(step, summary=Summary(value=[Summary.Value(tag=name, image=image)]))

    def close(self, outcome: Outcome) -> None:
        """Closes the file."""
        self._writer.close()

    def _put(self, step: int, **what: Any) -> None:
        event = event_pb2.Event(wall_time=time.time(), step=step, **what)
        self._writer.write_event(event)
