"""SIGTERM and SIGINT (preemption, Ctrl-C): finish what is in hand, or end at once.

The first signal asks, the second insists. What asks in Python waits until the main
thread comes back from a compiled program; so the one that insists is heard by a thread
of its own, through the pipe that Python's own C handler writes to.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

_ASKED = (signal.SIGTERM, signal.SIGINT)


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

    The first raises `Interrupted` in the main thread, unless it is `deferred`: then
    ``received`` says that it has come. Of use in the main thread alone.
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

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Meanwhile a signal only sets ``received``."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def _handle(self, number: int, frame: Any) -> None:
        del frame
        self.received = self.received or number
        if not self._deferred:
            raise Interrupted(number)

    def _listen(self, reader: int) -> None:
        asked = False
        while received := os.read(reader, 1):
            number = received[0]
            if number not in _ASKED:
                continue
            if asked:
                os._exit(128 + number)
            asked = True
            if self._deferred:
                self._say(
                    f"{signal.Signals(number).name}: finishing the steps in hand and"
                    " saving; a second one ends at once"
                )
        os.close(reader)
