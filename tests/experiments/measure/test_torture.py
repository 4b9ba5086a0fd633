"""Processes that are killed, resumed, and compared with one that was not."""

import json
import os
import re
import subprocess
import sys

import jax
import pytest


@pytest.mark.slow
def test_five_killed_runs_end_as_the_one_that_was_not(tmp_path):
    cache = jax.config.jax_compilation_cache_dir
    done = subprocess.run(
        [
            *(sys.executable, "-m", "experiments.measure.torture", "--quick"),
            *(f"--workdir={tmp_path}", "--steps=10"),
        ],
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": cache},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "5/5 identical"
    # Two of five are killed in the middle of a save.
    assert len(re.findall(r"while it saved", done.stdout)) >= 1, done.stdout
    results = json.loads((tmp_path / "results.json").read_text())
    assert [kill["different"] for kill in results["kills"]] == [[]] * 5
