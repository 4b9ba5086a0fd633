"""Progress on a terminal's standard error; in a file or a pipe, little or nothing."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

_PATIENCE = 5  # seconds; what takes less shows nothing
_PAUSE = 10  # seconds between two lines in a file
_LINE = "{desc}: {n_fmt} of {total_fmt}{unit}"


class _Lines:
    """Makes whole lines of what a bar draws, for a file."""

    def write(self, text: str) -> None:
        if line := text.strip():
            print(line, file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()


def bar(
    what: str | None,
    total: int | None,
    *,
    unit: str,
    initial: int = 0,
    delay: float = _PATIENCE,
    leave: bool = False,
    lines: bool = False,
) -> "tqdm":
    """A progress bar.

    Args:
      what: is being done, or None.
      total: how much there is to do; None where nobody knows.
      unit: what that is counted in.
      initial: how much is done already.
      delay: seconds before it is shown.
      leave: whether it stays when it is done.
      lines: whether a file or a pipe gets lines now and then in its place.

    Returns:
      What ``update(count)`` moves on, as a context manager.
    """
    from tqdm import tqdm  # late: most of what imports this shows nothing

    how: dict[str, Any] = {"file": sys.stderr, "leave": leave}
    if not sys.stderr.isatty():
        how = {"disable": not lines, "file": _Lines(), "leave": False}
        how |= {"bar_format": _LINE, "miniters": 1, "mininterval": _PAUSE}
    return tqdm(
        desc=what,
        total=total,
        initial=initial,
        unit=f" {unit}s",
        delay=delay,
        **how,
    )


@contextlib.contextmanager
def clock(what: str) -> Iterator[None]:
    """Shows for how long something has been done of which nobody knows the end.

    Args:
      what: is being done in it: compiling, or a loop inside of a compiled program.
    """
    if not sys.stderr.isatty():
        yield
        return
    from tqdm import tqdm

    done = threading.Event()
    shown = tqdm(
        desc=what,
        bar_format="{desc}: {elapsed}",
        file=sys.stderr,
        delay=_PATIENCE,
        leave=False,
    )

    def tick() -> None:
        wait = _PATIENCE
        while not done.wait(wait):
            shown.refresh()
            wait = 1

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        shown.close()
