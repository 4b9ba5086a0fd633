"""A program: what a run that died and went on tells its trackers, then its measures.

    python -m tests.run.tracking.twice FOLDER

It dies after step 30, with its last checkpoint at step 20. Measured is an earlier
checkpoint than its last line is of.
"""

import json
import pathlib
import sys

import numpy as np
from PIL import Image

from experiments import evaluate
from gan_jax import recipes
from gan_jax.evaluation import comparison
from gan_jax.run import configuration
from gan_jax.run.tracking import trackers
from gan_jax.run.tracking.tracker import Run


def main(folder):
    """Three sittings, in one process."""
    folder.mkdir()
    for name in ("real.png", "neighbours.png"):
        Image.fromarray(np.zeros((4, 6), np.uint8)).save(folder / name)
    config = configuration.Config(recipes.recipe("hinge"), "garments", 0, 40)
    for start, steps in ((0, (10, 20, 30)), (20, (30, 40))):
        with trackers.Trackers(
            trackers.TRACKERS, Run.of(folder, config, start)
        ) as records:
            for step in steps:
                records.scalars([{"step": step, "d_loss": step / 10}])
    line = {"step": 40, "seconds": 1.0, "d_loss": 4.0}
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    values = {"fcd": 12.5, "modes": 9, "classes": [1, 2]}
    subject = comparison.Subject("run", list, (28, 28, 1), 0, config, folder, step=30)
    evaluate._track(subject, values)
    print(json.dumps(trackers.read_ids(folder)))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
