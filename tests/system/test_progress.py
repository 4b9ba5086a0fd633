"""Progress is shown on a terminal, of what takes long, and nowhere else."""

import io
import sys

import pytest

from gan_jax.system import progress
from tests.system.waiting import wait_until


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(params=[Terminal, io.StringIO])
def listen(request, monkeypatch):
    """Called by a test, puts a terminal or a file in the place of stderr."""

    def listen():
        stream = request.param()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return listen


def test_a_bar_counts_on_a_terminal_and_is_gone_in_the_end(listen):
    stderr = listen()
    with progress.bar("drawing", 3, unit="image", delay=0) as bar:
        for _ in range(3):
            bar.update(1)
            bar.refresh()
    shown = stderr.getvalue()
    assert ("drawing" in shown and "3/3" in shown) == stderr.isatty()
    assert shown.split("\r")[-1].strip() == ""


def test_what_is_short_shows_nothing(listen):
    stderr = listen()
    with progress.bar("drawing", 3, unit="image") as bar:
        bar.update(3)
    with progress.clock("compiling"):
        pass
    assert stderr.getvalue().strip() == ""


def test_lines_stand_in_for_a_bar_where_there_is_no_terminal(listen, monkeypatch):
    monkeypatch.setattr(progress, "_PAUSE", 0)
    stderr = listen()
    with progress.bar("training it", 3, unit="step", delay=1e-9, lines=True) as bar:
        for _ in range(3):
            bar.update(1)
    if not stderr.isatty():
        said = [f"training it: {done} of 3 steps" for done in (1, 2, 3)]
        assert stderr.getvalue().splitlines() == said


def test_a_clock_goes_on_while_nothing_comes_back(listen, monkeypatch):
    monkeypatch.setattr(progress, "_PATIENCE", 0.01)
    stderr = listen()
    with progress.clock("compiling"):
        if stderr.isatty():
            wait_until(lambda: "compiling: 00:00" in stderr.getvalue())
    assert ("compiling" in stderr.getvalue()) == stderr.isatty()
