"""What every entry point shares: start-up, and one line for a user's mistake."""

import os
import pathlib
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging

from gan_jax.errors import UserError

# What is left of an earlier compilation is found again by the next process.
_CACHE = pathlib.Path.home() / ".cache" / "gan_jax" / "xla"


def run(main: Callable[[], None]) -> None:
    """Parses the flags and calls ``main``; never returns.

    A `UserError`, like a flag that cannot be parsed, is one line on stderr and exit
    status 2.
    """
    app.run(lambda argv: guarded(main, argv), flags_parser=parse)


def parse(argv: Sequence[str]) -> list[str]:
    """Parses the flags; ends the process where one cannot be."""
    try:
        rest = flags.FLAGS(argv, known_only=False)
    except flags.Error as error:
        _fail(str(error))
    if flags.FLAGS["help"].value or flags.FLAGS["helpfull"].value:
        return rest
    if len(rest) > 1:
        _fail(f"unexpected argument {rest[1]!r}: flags look like --name=value")
    return rest


def guarded(main: Callable[[], None], argv: Sequence[str]) -> None:
    """Calls ``main``; ends the process with one line for a `UserError`."""
    del argv
    logging.set_verbosity(logging.WARNING)
    try:
        configure_jax()
        main()
    except UserError as error:
        _fail(str(error))


def _fail(message: str) -> None:
    program = pathlib.Path(sys.argv[0]).stem
    print(f"{program}: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def configure_jax() -> None:
    """Keeps compiled programs for the next run, unless JAX's own setting says where."""
    import jax

    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(_CACHE))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
