"""One process at a time: a system's lock on a local disk, a lease in a store.

A lease is an object that names its holder, who writes it anew every half minute. One
that has not been renewed for five minutes is a dead process's, and the next may take it
over. That needs no more than a store that makes an object only where there is none, and
it promises less than a lock of the system does: a process that was paused for longer
than a lease lasts may write once more before it sees that it has lost it. Each file is
still whole. On Google's store, two that take over the same dead lease at the same
moment may both go on until the next renewal; S3 lets only one of them.
"""

import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import shlex
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from gan_jax.errors import UserError, without_passwords
from gan_jax.system import files, remote

if TYPE_CHECKING:
    from etils import epath


class TakenError(Exception):
    """Another process holds it: who, in words."""


class Held:
    """What is held, until the ``with`` that gave it ends."""

    @property
    def lost(self) -> bool:
        """Whether it is another's by now; a system's lock never is."""
        return False

    def require(self) -> None:
        """Ends what must not be done by two.

        Raises:
          UserError: it is lost.
        """


@dataclasses.dataclass(frozen=True)
class Times:
    """Of a lease, in seconds.

    Attributes:
      renew: between renewals.
      term: without a renewal until others may take it over.
    """

    renew: float = 30.0
    term: float = 300.0


TIMES = Times()


@contextlib.contextmanager
def local(path: pathlib.Path) -> Iterator[Held]:
    """Holds a file of the local disk by the system's lock.

    That of a process that has died, however it died, is free. It also holds between
    machines that share the folder by NFS.

    Raises:
      TakenError: another process has it.
      OSError: it cannot be locked.
    """
    import filelock  # slow to import

    # Not by a file that merely exists, where the system has no locks: one would stay.
    lock = filelock.FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise TakenError(_describe(_read(path))) from None
    try:
        with contextlib.suppress(OSError):  # a full disk locks no one out
            if path.stat().st_nlink == 1:  # no other file is this one
                path.write_text(json.dumps(_holder()))
        yield Held()
    finally:
        lock.release()


@contextlib.contextmanager
def lease(
    path: "epath.Path",
    *,
    times: Times = TIMES,
    say: Callable[[str], None] = print,
) -> Iterator[Held]:
    """Holds an object of a store by a lease.

    Args:
      path: of the object.
      times: of the lease; the same for all who want it.
      say: is told that a dead process's lease was taken over.

    Raises:
      TakenError: another process has it.
      UserError: the store cannot be written to.
    """
    held = _Lease(path, times)
    with files.writing(path):
        held.take(say)
    thread = threading.Thread(target=held.keep, daemon=True)
    thread.start()
    try:
        yield held
    finally:
        held.ended.set()
        thread.join(times.renew)
        with contextlib.suppress(Exception):  # else it runs out by itself
            held.give_back()


class _Lease(Held):
    def __init__(self, path: "epath.Path", times: Times) -> None:
        self.ended = threading.Event()
        self._path, self._times = path, times
        self._holder = {**_holder(), "machine": _machine(), "token": uuid.uuid4().hex}
        self._renewed, self._taken = 0.0, False

    @property
    def lost(self) -> bool:
        """Whether it is another's by now, or may be: it has not been renewed."""
        # By the clock on the wall: the other one stands still while a machine sleeps.
        return self._taken or time.time() - self._renewed > self._times.term

    def require(self) -> None:
        if self.lost:
            raise UserError(
                f"{self._path} is no longer this process's: it was paused, or the store"
                f" was out of reach, for more than {self._times.term:g} s; nothing more"
                " is written, and the same command goes on"
            )

    def take(self, say: Callable[[str], None]) -> None:
        """Makes the lease, or takes over a dead one.

        Raises:
          TakenError: another process has it.
        """
        self._renewed = time.time()
        found = remote.read_version(self._path)
        if found is None:
            # Asked before, too: some that speak S3's language ignore the condition.
            if remote.create(self._path, self._text()):
                return
            found = remote.read_version(self._path)
        if found is None:  # given back meanwhile
            raise TakenError("another process that has just ended")
        there = _parse(found[0])
        if there.get("token") == self._holder["token"]:
            return  # the store's answer was lost, and it was asked twice
        if not self._is_dead(there, found):
            raise TakenError(f"{_describe(there)}{self._until(there)}")
        self._renewed = time.time()
        if (
            not remote.replace(self._path, self._text(), found[1])
            or not self._is_mine()
        ):
            raise TakenError("another process, since a moment ago")
        say(f"taking over from {_describe(there)}, which has died")

    def _is_dead(self, there: dict[str, Any], found: tuple[bytes, str | None]) -> bool:
        if there.get("machine") == _machine() is not None:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                if not files.is_alive(int(there["process"])):
                    return True
        renewed = there.get("renewed")
        if not isinstance(renewed, int | float):
            return False
        if time.time() - renewed <= self._times.term:
            return False
        # The clocks of two machines may differ. Who lives renews it meanwhile.
        time.sleep(1.5 * self._times.renew)
        return remote.read_version(self._path) == found

    def _until(self, there: dict[str, Any]) -> str:
        """When a lease may be taken over, in words."""
        with contextlib.suppress(
            KeyError, ValueError, TypeError, OverflowError, OSError
        ):
            end = datetime.datetime.fromtimestamp(there["renewed"] + self._times.term)
            return f"; if that has died, {self._path} is free at {end:%H:%M:%S}"
        return f"; if that has died, delete {self._path}"

    def keep(self) -> None:
        """Renews it until it has ended, or is another's."""
        while not self.ended.wait(self._times.renew):
            # A store that is out of reach may come back; `lost` knows for how long.
            with contextlib.suppress(Exception):
                found = remote.read_version(self._path)
                if found is None or not self._is_own(found[0]):
                    self._taken = True
                    return
                now = time.time()
                if remote.replace(self._path, self._text(now), found[1]):
                    self._renewed = now

    def give_back(self) -> None:
        """Deletes it, where it is still this one."""
        if self._is_mine():
            remote.remove(self._path)

    def _is_mine(self) -> bool:
        found = remote.read_version(self._path)
        return found is not None and self._is_own(found[0])

    def _is_own(self, data: bytes) -> bool:
        return _parse(data).get("token") == self._holder["token"]

    def _text(self, now: float | None = None) -> bytes:
        renewed = self._renewed if now is None else now
        return json.dumps({**self._holder, "renewed": renewed}).encode()


def _holder() -> dict[str, Any]:
    now = datetime.datetime.now().astimezone()
    return {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": now.isoformat(timespec="seconds"),
        "command": without_passwords(shlex.join(sys.argv)),
    }


def _machine() -> str | None:
    """What numbers processes here; None where Linux does not say."""
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _read(path: pathlib.Path) -> dict[str, Any]:
    try:
        return _parse(path.read_bytes())
    except OSError:
        return {}


def _parse(data: bytes) -> dict[str, Any]:
    """What anybody may have written; nothing, where it is no JSON."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _describe(who: dict[str, Any]) -> str:
    try:
        return (
            f"process {who['process']} on {who['host']} since {who['since']}"
            f" ({who['command']})"
        )
    except KeyError:
        return "another process"
