"""Do the measures of quality grow with damage that is known?

    python -m experiments.measure.calibration

Damages real training images by growing noise, blur, cropping and swapped halves, and
measures each against the test split as experiments.evaluate measures samples. FCD, KID
and the sliced Wasserstein distance must grow at every step of every damage: where one
does not, the exit status is 1. Leaves results.json and calibration.png in --workdir.
"""

import sys

from absl import flags

from experiments.common import cli, data_flags, results, tables
from gan_jax import data, plots
from gan_jax.evaluation import calibration, features, references, report, score_table
from gan_jax.system.files import whole_file, write_text

flags.adopt_module_key_flags(data_flags)

_FEATURES = flags.DEFINE_enum(
    "features", "auto", ["auto", *features.NAMES], "As in experiments.evaluate."
)
_NUM_SAMPLES = flags.DEFINE_integer(
    "num_samples", 10_000, "Training images that are damaged."
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of which ones.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/calibration", "Folder of the results.")
_QUICK = flags.DEFINE_boolean(
    "quick", False, "2,000 drawn garments: seconds, for tests."
)
_MARKDOWN = flags.DEFINE_string("markdown", None, "Markdown file for the table.")


def main() -> None:
    """Checks the flags, measures, prints and draws."""
    cli.require_positive(_NUM_SAMPLES)
    cli.require_seed(_SEED)
    cli.require_writable(_MARKDOWN)
    data_flags.check()
    count = cli.unless_quick(_NUM_SAMPLES, 2000, _QUICK.value)
    report.check_count(count)
    workdir = results.folder(_WORKDIR, "measure.calibration")
    name = data_flags.name_or("garments" if _QUICK.value else "fashion_mnist")
    if data.about(name) is None:  # before the classifier is trained
        calibration.check_shape(data.load(name, **data_flags.where()).shape)
    reference = references.load_reference(
        name,
        measured_in=_FEATURES.value,
        quick=_QUICK.value,
        **data_flags.where(),
    )
    warned = results.warn(reference.test_split.warning)
    found = calibration.calibrate(reference, count, _SEED.value)
    there = score_table.columns([line for lines in found.values() for line in lines])
    header = ["damage", "level", *there]
    rows = [
        [
            damage if i == 0 else "",
            f"{line['level']:g}",
            *score_table.cells([line], there),
        ]
        for damage, lines in found.items()
        for i, line in enumerate(lines)
    ]
    print(tables.as_text(header, rows))
    workdir.mkdir(parents=True, exist_ok=True)
    document = {
        **results.begin("measure.calibration"),
        **warned,
        "num_samples": count,
        "features": reference.measured_in.describe(),
        "results": found,
    }
    write_text(workdir / "results.json", results.as_json(document))
    panels = {
        title: {
            damage: [(i, line[key]) for i, line in enumerate(lines)]
            for damage, lines in found.items()
        }
        for title, (key, _) in score_table.COLUMNS.items()
        if title in there and title != "class KL"
    }
    with whole_file(workdir / "calibration.png") as file:
        plots.save_panels(file, panels, xlabel="level of the damage", columns=4)
    markdown = results.as_markdown("measure.calibration", header, rows, **warned)
    cli.write(_MARKDOWN, markdown)
    print(f"{workdir / 'results.json'}  {workdir / 'calibration.png'}")
    wrong = calibration.failures(found)
    for line in wrong:
        print(line, file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    cli.run(main)
