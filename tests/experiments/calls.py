"""Calls entry points many times in one process, so that JAX is imported once.

    python -m tests.experiments.calls '{"experiments.train": [["--loss=x"], ...]}'

The argument maps names of modules to lists of arguments; printed is the same with, for
each list, exit status and standard error.
"""

import contextlib
import importlib
import io
import json
import sys

from absl import app, flags
from absl.testing import flagsaver

from experiments import cli


def call(main, name, arguments):
    """What `cli.run` does, and how it ended."""
    errors, status = io.StringIO(), 0
    sys.argv = [f"{name.rpartition('.')[2]}.py", *arguments]
    with (
        flagsaver.flagsaver(),
        contextlib.redirect_stderr(errors),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        try:
            cli.guarded(main, cli.parse(sys.argv))
        except SystemExit as end:
            status = end.code
    return {"status": status, "stderr": errors.getvalue()}


if __name__ == "__main__":
    calls = json.loads(sys.argv[1])
    mains = {name: importlib.import_module(name).main for name in calls}
    app.define_help_flags()
    flags.FLAGS(["calls"])
    results = {
        name: [call(mains[name], name, arguments) for arguments in lists]
        for name, lists in calls.items()
    }
    json.dump(results, sys.stdout)
