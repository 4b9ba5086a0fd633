"""The one error type that stands for a user's mistake, and parts of its lines."""

import difflib
import re
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake that its maker can mend: one line that says what to do.

    The library raises it wherever an argument, a file or a folder is at fault;
    the entry points under ``experiments`` print it on stderr and exit with 2.
    """


def check_name(what: str, name: str, known: Iterable[str]) -> None:
    """Refuses a name that does not exist.

    Args:
      what: what it names, as in "data set".
      name: what the user wrote.
      known: the names that exist.

    Raises:
      UserError: it is none of them; the message gives the nearest one, and all.
    """
    known = list(known)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else "; it is one of:"
        raise UserError(f"unknown {what} {name!r}{hint} ({', '.join(known)})")


def without_passwords(text: str) -> str:
    """A text to print or keep, with ``***`` for the passwords of its URLs.

    A password may hold any sign but a space: it ends at the last ``@`` of the word.
    Digits and a slash behind a host are its port, and what follows is no password.
    """
    return re.sub(r"(\w://(?![^\s/:]+:\d+/)[^\s/:]*):\S+@", r"\1:***@", text)


def quote(error: BaseException, where: str = "") -> str:
    """An error in one line of a message, such as one of somebody else's code.

    Args:
      error: of any kind.
      where: it happened, as in ", line 3".
    """
    return f"{type(error).__name__}{where}: {' '.join(str(error).split())[:200]}"
