"""Calls entry points many times in one process, so that JAX is imported once.

    python -m tests.processes.calls '{"experiments.train": [["--loss=x"], ...]}'

The argument maps names of modules to lists of arguments; printed is the same with, for
each list, exit status, standard output and standard error. With ``--parse`` behind it
the flags are parsed, and no program begins; train and study also check what they ask
for together, unless they name code of one's own.
"""

import contextlib
import functools
import importlib
import io
import json
import sys

from absl import app, flags
from absl.testing import flagsaver

from experiments.common import cli

# What reads and checks all the flags of a program, by its name.
CHECKS = {
    "experiments.train": "experiments.common.plan.plan",
    "experiments.study": "experiments.common.study_flags.read",
}


@contextlib.contextmanager
def as_main(module):
    """It is the main program inside of it: --help shows its page."""
    before = sys.modules["__main__"]
    sys.modules["__main__"] = module
    try:  # what is imported meanwhile stays: some modules cannot be loaded twice
        yield
    finally:
        sys.modules["__main__"] = before


def call(module, arguments):
    """What `cli.run` does with a module's main program, and how it ended."""
    errors, output, status = io.StringIO(), io.StringIO(), 0
    sys.argv = [f"{module.__name__.rpartition('.')[2]}.py", *arguments]
    with (
        flagsaver.flagsaver(),
        as_main(module),
        contextlib.redirect_stderr(errors),
        contextlib.redirect_stdout(output),
    ):
        try:
            cli.guarded(module.main, cli.parse(sys.argv))
        except SystemExit as end:
            status = end.code
    return {
        "status": status,
        "stdout": output.getvalue(),
        "stderr": errors.getvalue(),
    }


def check(program):
    """In place of a program that only parses its flags."""
    if program in CHECKS and not any(".py:" in word for word in sys.argv):
        module, _, name = CHECKS[program].rpartition(".")
        getattr(importlib.import_module(module), name)()


if __name__ == "__main__":
    calls = json.loads(sys.argv[1])
    modules = {name: importlib.import_module(name) for name in calls}
    if "--parse" in sys.argv:
        for name, module in modules.items():
            module.main = functools.partial(check, name)
    app.define_help_flags()
    flags.FLAGS(["calls"])
    results = {
        name: [call(modules[name], arguments) for arguments in lists]
        for name, lists in calls.items()
    }
    json.dump(results, sys.stdout)
