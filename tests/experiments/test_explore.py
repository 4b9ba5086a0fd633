"""The explorer where it cannot start, without a browser."""

import subprocess
import sys

from tests.processes.running import ROOT

# Gradio as if it were not installed, whether it is or not.
WITHOUT = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "gradio" else find(name, *a)
sys.modules["gradio"] = None
import runpy
sys.argv = ["explore", "--runs=" + sys.argv[1]]
runpy.run_module("experiments.explore", run_name="__main__")
"""


def test_without_gradio_it_is_one_line_that_says_what_to_install(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr == "explore: it needs Gradio: pip install 'gan_jax[app]'\n"
