"""Calls an entry point many times in one process, so that JAX is imported once.

    python -m tests.experiments.calls experiments.train < argument_lists.json

Prints a JSON list: for each list of arguments, exit status and standard error.
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
    name = sys.argv[1]
    main = importlib.import_module(name).main
    app.define_help_flags()
    flags.FLAGS([name])
    results = [call(main, name, arguments) for arguments in json.load(sys.stdin)]
    json.dump(results, sys.stdout)
