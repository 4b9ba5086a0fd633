"""The notebooks as somebody runs them, in small: `GAN_JAX_QUICK` makes them so."""

import base64
import io
import pathlib
import re

import jax
import pytest
from PIL import Image

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("ipywidgets")

pytestmark = pytest.mark.notebook

FOLDER = pathlib.Path(__file__).parents[2] / "notebooks"
PROGRESS = re.compile(r"(training it: \d+ of \d+ steps\n)+")
NAMES = ("train_and_look", "write_your_own", "why_gans_fail")
# Of a cell, which takes up to ten. Now and then a reply that is there is seen only when
# this time is over (with 600 s a test once took these), so it is not much longer.
_SECONDS = 150
# What the sliders call, at the ends of their ranges.
AT_THE_ENDS = """
vanishing(8.0, 0.4)
vanishing(0.1, 2.0)
going_round("hinge", 10**-0.5, 6.0, True)
going_round("minimax", 0.01, 0.0, False)
collapse([2.0], 1e-2, 9)
moduli = [follow(dirac.Rule("wasserstein", "r1", w, False), 0.1)[1] for w in range(7)]
assert moduli[-1] > min(moduli) + 0.05, moduli  # slow again, as the text has it
"""


@pytest.fixture(scope="module")
def executed(evaluation_cache, tmp_path_factory):
    """Executed notebooks by name, each in a folder of its own."""
    made = {}

    def execute(name):
        if name not in made:
            made[name] = _execute(name, evaluation_cache, tmp_path_factory.mktemp(name))
        return made[name]

    return execute


def _execute(name, cache, folder):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    if name == "why_gans_fail":
        notebook.cells.append(nbformat.v4.new_code_cell(AT_THE_ENDS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAN_JAX_QUICK", "1")
        patch.setenv("GAN_JAX_CACHE_DIR", str(cache))
        patch.setenv("JAX_COMPILATION_CACHE_DIR", jax.config.jax_compilation_cache_dir)
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.05")
        for place in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
            patch.setenv(place, str(folder / "jupyter"))
        patch.delenv("MPLBACKEND", raising=False)
        client = nbclient.NotebookClient(
            notebook,
            timeout=_SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
        )
        return client.execute(), folder


def outputs(notebook):
    """Of all cells, and of the widgets that sliders draw into."""
    found = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    for state in _widgets(notebook):
        found += state.get("outputs", [])
    return found


def _widgets(notebook):
    states = notebook.metadata.get("widgets", {}).values()
    return [model["state"] for part in states for model in part["state"].values()]


def printed(notebook):
    return "".join(o["text"] for o in outputs(notebook) if o["output_type"] == "stream")


def figures(notebook):
    pngs = [o["data"].get("image/png") for o in outputs(notebook) if "data" in o]
    return [Image.open(io.BytesIO(base64.b64decode(png))) for png in pngs if png]


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_without_errors_and_warnings(executed, name):
    notebook, _ = executed(name)
    for output in outputs(notebook):
        assert output["output_type"] != "error"
        if output.get("name") == "stderr":  # how far a classifier has come, at most
            assert PROGRESS.fullmatch(output["text"]), output["text"]


@pytest.mark.parametrize(
    ("name", "count"),
    [("train_and_look", 5), ("write_your_own", 2), ("why_gans_fail", 6 + 5)],
)
def test_its_figures_need_no_scrolling(executed, name, count):
    drawn = figures(executed(name)[0])
    assert len(drawn) == count
    for figure in drawn:
        assert len(figure.convert("L").getcolors(256)) > 16  # something is drawn
        assert figure.width <= 1050
        assert figure.height <= 450


@pytest.mark.parametrize("name", NAMES)
def test_what_it_prints_is_finite(executed, name):
    text = printed(executed(name)[0])
    assert re.search(r"^JAX [\d.]+ on \S", text, re.MULTILINE)
    assert len(re.findall(r"\d\.\d", text)) >= 5
    assert not re.search(r"\b(nan|inf)\b", text)


def test_training_leaves_a_run_folder(executed):
    notebook, folder = executed("train_and_look")
    run = folder / "runs" / "wasserstein_gp_garments"
    left = {path.name for path in run.iterdir()}
    assert {"config.json", "metrics.jsonl", "samples", "checkpoints"} <= left
    assert re.search(r"^fcd +lower +[\d.]+ +[\d.]+$", printed(notebook), re.MULTILINE)


def test_the_loss_passes_its_checks(executed):
    text = printed(executed("write_your_own")[0])
    assert text.count("finite at 1e4, with its gradient: True") == 2
    for pattern in (
        r"gradient (-?[\d.]+), finite difference (-?[\d.]+)",
        r"theory (-?[\d.]+), found (-?[\d.]+)",
    ):
        here, there = map(float, re.search(pattern, text).groups())
        assert here == pytest.approx(there, abs=2e-3)


def test_batch_norm_under_a_penalty_is_refused(executed):
    notebook, _ = executed("write_your_own")
    assert "BatchNorm" in notebook.cells[-2].outputs[0]["text"]


def test_steps_move_by_the_modulus_of_theory(executed):
    text = printed(executed("why_gans_fail")[0])
    found = re.findall(r"modulus: theory ([\d.]+), measured ([\d.]+)", text)
    assert len(found) == 3
    for theory, measured in found:
        assert float(theory) == pytest.approx(float(measured), abs=1e-3)


def test_each_experiment_has_sliders_and_a_figure_under_them(executed):
    states = _widgets(executed("why_gans_fail")[0])
    sliders = [s for s in states if s.get("_model_name", "").endswith("SliderModel")]
    assert len(sliders) == 6
    drawn = [s for s in states if any("data" in o for o in s.get("outputs", []))]
    assert len(drawn) == 3
