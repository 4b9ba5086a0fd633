"""The one error type that stands for a user's mistake, and parts of its lines."""

import difflib
import re
from collections.abc import Container, Iterable

# What other code and papers call it, and this project otherwise.
_CALLED_ELSEWHERE = {
    "wgan": "wasserstein",
    "wgan_gp": "wasserstein_gp",
    "lsgan": "least_squares",
    "gan": "nonsaturating",
    "ns": "nonsaturating",
    "ns_gan": "nonsaturating",
    "nsgan": "nonsaturating",
    "rgan": "relativistic",
    "r3gan": "relativistic",
    "lr": "generator_lr discriminator_lr",
    "learning_rate": "generator_lr discriminator_lr",
}


class UserError(ValueError):
    """A mistake that its maker can mend: one line that says what to do.

    The library raises it wherever an argument, a file or a folder is at fault;
    the entry points under ``experiments`` print it on stderr and exit with 2.
    """


def meant(name: str, known: Container[str]) -> list[str]:
    """What a name from elsewhere, such as "wgan" or "lr", is called here.

    Args:
      name: what the user wrote.
      known: the names that exist.

    Returns:
      Those among them; none where it is called so nowhere.
    """
    names = _CALLED_ELSEWHERE.get(name.lower().replace("-", "_"), "").split()
    return [each for each in names if each in known]


def check_name(what: str, name: str, known: Iterable[str]) -> None:
    """Refuses a name that does not exist.

    Args:
      what: what it names, as in "data set".
      name: what the user wrote.
      known: the names that exist.

    Raises:
      UserError: it is none of them; the message gives what is meant by it elsewhere,
        or the nearest one, and all.
    """
    known = list(known)
    if name not in known:
        near = meant(name, known)
        near = near or difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        those, all_of_them = " and ".join(map(repr, near)), ", ".join(known)
        hint = f"did you mean {those}? ({all_of_them})"
        if not near:
            hint = f"it is one of: {all_of_them}"
        raise UserError(f"unknown {what} {name!r}; {hint}")


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
