"""What every entry point shares: start-up, and one line for a user's mistake."""

import contextlib
import gc
import os
import pathlib
import re
import shlex
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging

from experiments.common import places
from gan_jax.errors import UserError, without_passwords
from gan_jax.system import cores
from gan_jax.system.files import write_text
from gan_jax.system.paths import expand
from gan_jax.system.signals import Signals

_ROOT = pathlib.Path(__file__).parents[2]  # from elsewhere, experiments is not found


def _say(line: str) -> None:
    program = pathlib.Path(sys.argv[0]).stem
    print(f"{program}: {line}", file=sys.stderr, flush=True)


signals = Signals(_say)  # SIGTERM and Ctrl-C, while `guarded` runs a program


def run(main: Callable[[], None]) -> None:
    """Parses the flags and calls ``main``; never returns.

    A `UserError`, like a flag that cannot be parsed, is one line on stderr and exit
    status 2.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    with contextlib.suppress(AttributeError):  # a notebook's has all letters
        sys.stdout.reconfigure(errors="backslashreplace")
    app.run(lambda argv: guarded(main, argv), flags_parser=parse)


def parse(argv: Sequence[str]) -> list[str]:
    """Parses the flags; ends the process where one cannot be, or after --help."""
    try:
        try:
            rest = flags.FLAGS(argv, known_only=False)
        except SystemExit:  # --help was printed, and absl would say 1
            sys.stdout.flush()
            sys.exit(0)
    except (flags.Error, ValueError) as error:  # of --noquick=1 absl says ValueError
        from experiments.common import unknown_flag

        _fail(unknown_flag.line_of(error))
    except BrokenPipeError:
        _broken_pipe(0)
    if len(rest) > 1:
        _fail(f"unexpected argument {rest[1]!r}: flags look like --name=value")
    return rest


def guarded(main: Callable[[], None], argv: Sequence[str]) -> None:
    """Calls ``main``; ends the process with one line for a user's mistake.

    An `OSError` counts as one: a full disk, a folder without permission.
    """
    del argv
    import jax

    from gan_jax.devices import compilation

    # Orbax logs as an error what it then raises, and what is raised is said below.
    logging.set_verbosity(logging.FATAL)
    sys.unraisablehook = _silent_about_orbax
    try:
        with signals:
            compilation.keep_programs()
            try:
                main()
            finally:
                sys.stdout.flush()
                gc.freeze()  # else Python looks through all there is, to end: a second
    except UserError as error:
        _fail(str(error))
    except BrokenPipeError:
        _broken_pipe(1)
    except OSError as error:
        _require_folder()
        try:
            sys.stdout.flush()
        except OSError:  # it is what is full: Python would fail on it once more
            _discard_output()
        _fail(
            f"{error.filename or 'the system'}: {error.strerror or error}: free the"
            " space, mend the permission, or name another folder"
        )
    except Exception as error:
        _require_devices()
        if not jax.distributed.is_initialized():
            raise
        # The others wait for this process, and at its end JAX would wait for them.
        if isinstance(error, jax.errors.JaxRuntimeError):  # another has died, perhaps
            print(str(error).partition("\n")[0], file=sys.stderr)
        else:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(1)


def _broken_pipe(status: int) -> NoReturn:
    """Ends the process whose output's reader has gone, as in `| head`."""
    _discard_output()
    sys.exit(status)


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _silent_about_orbax(unraisable: Any) -> None:
    """Where one of its reads or writes fails, the others find its event loop closed."""
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


def _require_devices() -> None:
    """Ends the process where JAX cannot start: whatever has failed, this is why."""
    from gan_jax.devices import available

    try:
        available.find_devices()
    except UserError as error:
        _fail(str(error))


def _require_folder() -> None:
    """Ends the process where the folder that it was called in is no more."""
    try:
        os.getcwd()
    except OSError:
        _fail("the current folder was deleted: go to another one")


def require_seed(flag: flags.FlagHolder, count: int = 1) -> None:
    """Refuses seeds that JAX's keys cannot hold: ``count`` of them from the flag's on.

    Raises:
      UserError: they are not in 0 ... 2^32 - 1.
    """
    given = f"--{flag.name}={flag.value}"
    if not 0 <= flag.value < 2**32:
        raise UserError(f"{given} must be in 0 ... 2^32 - 1")
    if flag.value + count > 2**32:
        raise UserError(f"{given} is too large for {count} seeds from it")


def require_positive(flag: flags.FlagHolder) -> None:
    """Refuses zero and less; None passes.

    Raises:
      UserError: the flag is below 1.
    """
    if flag.value is not None and flag.value < 1:
        raise UserError(f"--{flag.name}={flag.value} must be at least 1")


def require_in(flag: flags.FlagHolder, least: float, most: float) -> None:
    """Refuses a number that is out of range.

    Raises:
      UserError: it is not in ``least`` ... ``most``.
    """
    if not least <= flag.value <= most:
        raise UserError(f"--{flag.name}={flag.value} must be in {least} ... {most}")


def require_one(flag: flags.FlagHolder, other: flags.FlagHolder) -> None:
    """Refuses two flags that say the same in two ways.

    Raises:
      UserError: both are given.
    """
    if all(flags.FLAGS[each.name].present for each in (flag, other)):
        raise UserError(
            f"--{flag.name}={flag.value} and --{other.name}={other.value} are two ways"
            " to say one thing: leave one out"
        )


def unless_quick(flag: flags.FlagHolder, value: Any, quick: bool) -> Any:
    """A flag's value; of a quick run ``value``, unless the user has given the flag."""
    given = flags.FLAGS[flag.name].present
    return flag.value if given or not quick else value


def require_losses(flag: flags.FlagHolder) -> None:
    """Refuses a list without a name, or with one that is no loss.

    Raises:
      UserError: the same, with the name that was perhaps meant.
    """
    from gan_jax import own_code
    from gan_jax.losses import LOSSES

    if not any(flag.value):
        raise UserError(
            f"--{flag.name} is empty: name some, as nonsaturating,wasserstein_gp"
        )
    for name in flag.value:
        own_code.check("loss", flag.name, name, LOSSES)


def require_writable(flag: flags.FlagHolder) -> None:
    """Refuses a file that cannot be written, before minutes of measuring; None passes.

    Raises:
      UserError: the flag names a folder, or a place where no file can be made.
    """
    if flag.value is None:
        return
    path = path_of(flag)
    if path.is_dir():
        raise UserError(f"--{flag.name}={path} is a folder: name a file in it")
    if path.exists() and not path.is_file():
        raise UserError(f"--{flag.name}={path} is a device or a pipe: name a file")
    places.require(flag.name, path)  # a new file takes its place


def path_of(flag: flags.FlagHolder) -> pathlib.Path:
    """The file that a flag names, or that its link leads to."""
    path = expand(flag.value)
    return path.resolve() if path.is_symlink() else path


def write(flag: flags.FlagHolder, text: str) -> None:
    """Writes the whole of the file that a flag names, where it names one."""
    if flag.value is not None:
        write_text(path_of(flag), text)


def command(program: str) -> str:
    """The command that was given, for a program's results, wherever it is repeated."""
    words = ["python", "-m", f"experiments.{program}", *sys.argv[1:]]
    return without_passwords(shlex.join(words))


def same_command(program: str) -> str:
    """The command that was given; without what would delete the run."""
    kept = [a for a in sys.argv[1:] if not re.match(r"--?overwrite(=|$)", a)]
    found = shutil.which("python") == sys.executable
    python = "python" if found else sys.executable
    where = [] if pathlib.Path.cwd() == _ROOT else ["env", f"PYTHONPATH={_ROOT}"]
    return shlex.join([*where, python, "-m", f"experiments.{program}", *kept])


def _fail(message: str) -> NoReturn:
    end(message, 2)


def stopped(done: str, program: str) -> NoReturn:
    """Ends the process as a signal has asked: what is done, and how to go on."""
    number = signals.received or signal.SIGTERM  # of another process
    name = signal.Signals(number).name
    end(f"{name}: {done}; to go on: {same_command(program)}", 128 + number)


def end(message: str, status: int) -> NoReturn:
    """Ends the process with one line on stderr."""
    message = without_passwords(message)
    _say("".join(c if c.isprintable() else "?" for c in " ".join(message.split())))
    import jax

    if jax.distributed.is_initialized():
        from gan_jax.devices import processes

        # The others cannot go on without this one, and JAX would wait for them.
        processes.farewell()
        sys.stdout.flush()
        os._exit(status)
    sys.exit(status)


def a_device_a_core(num_devices: int | None = None) -> None:
    """Makes a CPU as many devices as it has cores, or as are asked for.

    Where JAX_NUM_CPU_DEVICES says how many, or they are in use, it stays at these.
    """
    import jax

    with contextlib.suppress(RuntimeError):  # as in a notebook, whose JAX has started
        if not os.environ.get("JAX_NUM_CPU_DEVICES"):
            jax.config.update("jax_num_cpu_devices", num_devices or cores.available())
