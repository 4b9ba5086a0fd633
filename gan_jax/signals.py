"""SIGTERM and SIGINT (preemption, Ctrl-C): finish what is in hand, or end at once.

The first signal asks, the second insists. What asks in Python waits until the main
thread comes back from a compiled program; so the one that insists is heard by a thread
of its own, through the pipe that Python's own C handler writes to.
"""

import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable
from typing import Any, Self

_ASKED = (signal.SIGTERM, signal.SIGINT)
_PATIENCE = 3  # seconds for the main thread to come back from a compiled program


class Interrupted(BaseException):
    """A signal came while there was nothing to be finished.

    No `Exception`: whoever handles errors is not to take it for one.
    """

    def __init__(self, number: int) -> None:
        """Takes the signal's number."""
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def status(self) -> int:
        """What a process that a signal has ended exits with: 143 or 130."""
        return 128 + self.number


class Signals:
    """While it is open, the first signal is noted and the second ends the process.

    The first raises `Interrupted` in the main thread, and where that is in a compiled
    program for long, ends the process; from `defer` on, it only sets ``received``. Of
    use in the main thread alone.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        """Takes who is told, at once and in another thread, that a signal has come."""
        self.received: int | None = None
        self._say = say
        self._deferred = False

    def __enter__(self) -> Self:
        """Takes over both signals."""
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        threading.Thread(target=self._listen, args=[self._reader], daemon=True).start()
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._handlers = {n: signal.signal(n, self._handle) for n in _ASKED}
        return self

    def __exit__(self, *exception: Any) -> None:
        """Gives them back."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._writer)  # the thread reads an end, and ends

    def defer(self) -> None:
        """From now on a signal only sets ``received``: there is something to finish."""
        self._deferred = True

    def _handle(self, number: int, frame: Any) -> None:
        del frame
        self.received = self.received or number
        if not self._deferred:
            raise Interrupted(number)

    def _listen(self, reader: int) -> None:
        number = _next(reader)
        if number and self._deferred:
            self._tell(
                number,
                "finishing the steps in hand and saving; a second one ends at once",
            )
        elif number and _next(reader, _PATIENCE) != _CLOSED and not self._deferred:
            self._tell(number, "ended; there was nothing new to save")
            os._exit(128 + number)
        if number and (second := _next(reader)):
            os._exit(128 + second)
        os.close(reader)

    def _tell(self, number: int, what: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # who listens may be gone
            self._say(f"{signal.Signals(number).name}: {what}")


_CLOSED = 0


def _next(reader: int, patience: float | None = None) -> int | None:
    """The next signal; `_CLOSED` at the end of the pipe, None when patience is over."""
    while select.select([reader], [], [], patience)[0]:
        received = os.read(reader, 1)
        if not received:
            return _CLOSED
        if received[0] in _ASKED:
            return received[0]
    return None
