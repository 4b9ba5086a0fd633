"""SIGTERM and SIGINT (preemption, Ctrl-C): finish what is in hand, or end at once.

No handler raises. Python calls a handler between any two instructions of the main
thread, so an exception may start inside of a callback that swallows it (JAX has one
for garbage collection), and the signal is lost. Instead, a thread hears the signals,
through the pipe that Python's own C handler writes to; it does so while the main thread
is in a compiled program, too.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from typing import Any, Self

from gan_jax.system import files

_ASKED = (signal.SIGTERM, signal.SIGINT)
_last: list[Callable[[], None]] = []


def before_end(call: Callable[[], None]) -> None:
    """Has something called before a signal ends the process, in another thread.

    What `atexit` would call is not called then.
    """
    _last.append(call)


class Signals:
    """While it is open, a signal ends the process, or asks it to finish and then does.

    Before `should_stop` is asked for the first time there is nothing to save, and the
    first signal ends the process. Later it makes `should_stop` say yes, and the second
    signal ends the process. To be opened in the main thread.

    Attributes:
      received: the number of the first signal, None before it has come.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        """Takes who is told, at once and in another thread, that a signal has come."""
        self.received: int | None = None
        self._say = say
        self._deferred = False

    def __enter__(self) -> Self:
        """Takes over both signals."""
        self.received, self._deferred = None, False
        reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        threading.Thread(target=self._listen, args=[reader], daemon=True).start()
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._handlers = {n: signal.signal(n, _ignore) for n in _ASKED}
        return self

    def __exit__(self, *exception: Any) -> None:
        """Gives them back."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._writer)  # the thread reads an end, and ends

    def should_stop(self) -> bool:
        """Whether a signal has come; from now on there is something to save."""
        self._deferred = True
        return self.received is not None

    def _listen(self, reader: int) -> None:
        with open(reader, "rb", buffering=0) as pipe:
            while received := pipe.read(1):
                if received[0] in _ASKED:
                    self._hear(received[0])

    def _hear(self, number: int) -> None:
        if self.received is not None:
            _end(number)
        self.received = number
        if self._deferred:
            self._tell(
                "finishing the steps in hand and saving; a second one ends at once"
            )
        else:
            self._tell("ended; there was nothing new to save")
            _end(number)

    def _tell(self, what: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # who listens may be gone
            self._say(f"{signal.Signals(self.received).name}: {what}")


def _ignore(number: int, frame: Any) -> None:
    """Python's C handler has written to the pipe; there is nothing else to do."""


def _end(number: int) -> None:
    """Ends the process without the main thread, which may be in a compiled program."""
    for call in _last:
        with contextlib.suppress(Exception):  # it ends all the same
            call()
    files.discard_parts()
    os._exit(128 + number)
