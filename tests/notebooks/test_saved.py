"""The notebooks as they are saved: without outputs, and with nothing of one machine."""

import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def notebook(request):
    return json.loads(request.param.read_text())


def code(notebook):
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return ["".join(cell["source"]) for cell in cells]


def test_there_are_three():
    names = {"train_and_look", "why_gans_fail", "write_your_own"}
    assert {path.stem for path in NOTEBOOKS} == names
    page = (ROOT / "docs" / "notebooks.md").read_text()
    assert names == {*re.findall(r"notebooks/(\w+)\.ipynb", page)}


def test_outputs_are_stripped(notebook):
    for cell in notebook["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


def test_metadata_names_the_kernel_and_a_gpu_of_colab(notebook):
    assert notebook["metadata"] == {
        "accelerator": "GPU",
        "colab": {"gpuType": "T4"},
        "kernelspec": {
            "display_name": "Python 3",
            "language": "python",
            "name": "python3",
        },
    } | {
        "language_info": notebook["metadata"]["language_info"]
    }  # an editor writes more
    assert notebook["metadata"]["language_info"]["name"] == "python"
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)


def test_the_first_cell_installs_from_one_place(notebook):
    first, *others = code(notebook)
    assert first == code(json.loads(NOTEBOOKS[0].read_text()))[0]
    assert '%pip install --quiet "{SOURCE}{extra}"' in first
    assert first.count("SOURCE =") == 1
    assert not any("pip install" in cell for cell in others)


def test_small_sizes_are_asked_for_in_one_cell(notebook):
    asking = [cell for cell in code(notebook) if "GAN_JAX_QUICK" in cell]
    assert asking == [code(notebook)[1]]


def test_text_comes_between_short_cells(notebook):
    kinds = [cell["cell_type"] for cell in notebook["cells"]]
    assert kinds[0] == kinds[-1] == "markdown"
    assert "code code code code" not in " ".join(kinds)
    assert max(len(cell.splitlines()) for cell in code(notebook)) <= 40


def test_no_path_of_a_machine_is_named(notebook):
    text = json.dumps(notebook, ensure_ascii=False)
    assert not re.findall(r"(?<![\w.:/-])/(?:home|root|tmp|work|content|Users)\b", text)
