"""A program that SIGTERM reaches between two of its steps.

python -m tests.experiments.measure.interrupted MODULE [flags]
"""

import os
import runpy
import signal
import sys
import time

from experiments.common import cli

ask, asked = cli.signals.should_stop, []


def should_stop():
    """The second time that it is asked, a signal comes first."""
    asked.append(ask())
    if len(asked) == 2:
        os.kill(os.getpid(), signal.SIGTERM)
        while not ask():
            time.sleep(0.001)
    return ask()


if __name__ == "__main__":
    cli.signals.should_stop = should_stop
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
