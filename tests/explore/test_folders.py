"""What lies below a folder is found; what lies outside is never read."""

import os

import pytest

from gan_jax.errors import UserError
from gan_jax.explore import folders, pictures, restored, runs
from tests.explore.making import make_run


@pytest.fixture
def root(tmp_path):
    """Runs at two depths and a study, in a folder beside one that is not theirs."""
    for name in ("runs/a", "runs/deep/er/b", "outside/secret"):
        make_run(tmp_path / name, checkpoint=name == "runs/a")
    (tmp_path / "runs" / "study" / "samples").mkdir(parents=True)
    (tmp_path / "runs" / "study" / "runs.jsonl").write_text("")
    (tmp_path / "runs" / "notes").mkdir()
    return tmp_path / "runs"


def test_runs_and_studies_are_found_at_any_depth(root):
    assert folders.listing(root) == (["a", "deep/er/b"], ["study"], [])
    assert folders.find(root, "deep/er/b") == root / "deep" / "er" / "b"
    assert folders.listing(root / "a") == (["."], [], [])
    assert folders.find(root / "a", ".") == root / "a"
    assert folders.listing(root / "nowhere") == ([], [], [])


@pytest.mark.parametrize(
    "name",
    [
        "../outside/secret",
        "a/../../outside/secret",
        "/etc",
        "notes",
        "a/samples",
        "",
        "\n",
        "A",
    ],
)
def test_a_name_that_is_not_listed_is_refused_in_one_line(root, name):
    with pytest.raises(UserError, match="there is no run") as caught:
        folders.find(root, name)
    assert len(str(caught.value).splitlines()) == 1


def test_a_link_that_leads_outside_is_named_and_not_followed(root):
    (root / "link").symlink_to(root.parent / "outside" / "secret")
    (root / "up").symlink_to(root.parent)
    (root / "inside").symlink_to(root / "a")  # found under its own name
    assert folders.listing(root) == (["a", "deep/er/b"], ["study"], ["link", "up"])
    with pytest.raises(UserError, match="there is no run"):
        folders.find(root, "link")
    refused = {run.name: run for run in runs.describe_all(root)}["link"]
    assert (refused.status, refused.config) == (runs.REFUSED, None)


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "evaluation.json"])
def test_a_file_that_leads_outside_is_not_read(root, name):
    (root / "a" / name).unlink(missing_ok=True)
    (root / "a" / name).symlink_to(root.parent / "outside" / "secret" / "config.json")
    run = runs.describe(root, "a")
    assert run.status == runs.REFUSED
    assert "leads outside" in run.reason
    with pytest.raises(UserError, match="leads outside"):
        restored.restore(root, "a")


def test_pictures_and_checkpoints_that_lead_outside_are_not_read(root):
    grid = root / "a" / "samples" / "step_000020.png"
    grid.unlink()
    grid.symlink_to(root.parent / "outside" / "secret" / "real.png")
    with pytest.raises(UserError, match="leads outside"):
        pictures.read(root, grid)
    grid.unlink()
    assert restored.restore(root, "a").step == 20
    inner = next(p for p in (root / "a" / "checkpoints").rglob("*") if p.is_file())
    os.replace(inner, root.parent / "moved")
    inner.symlink_to(root.parent / "moved")
    with pytest.raises(UserError, match="leads outside"):
        restored.restore(root, "a")


def test_links_in_a_circle_are_outside(root):
    (root / "circle").symlink_to(root / "circle")
    assert not folders.is_inside(root, root / "circle" / "x")
    assert folders.listing(root).runs == ["a", "deep/er/b"]
