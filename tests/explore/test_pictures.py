"""Pictures and curves of a run folder come back as they were written."""

import numpy as np
import pytest

from gan_jax import plots
from gan_jax.errors import UserError
from gan_jax.explore import pictures
from gan_jax.run.metrics_log import read_metrics
from tests.explore import making


@pytest.mark.parametrize("shape", [(28, 28, 1), (8, 12, 3)])
@pytest.mark.parametrize(("count", "columns"), [(100, 10), (7, 3), (1, 1)])
def test_the_images_of_a_grid_are_exactly_those_that_were_laid_out(
    tmp_path, shape, count, columns
):
    images = np.random.default_rng(1).integers(0, 256, (count, *shape), np.uint8)
    plots.save_grid(tmp_path / "grid.png", images, columns)
    found, across = plots.split_grid(
        pictures.read(tmp_path, tmp_path / "grid.png"), shape
    )
    np.testing.assert_array_equal(found, images)
    assert across == columns


def test_a_grid_of_other_images_is_refused(tmp_path):
    plots.save_grid(tmp_path / "real.png", making.real(20))
    with pytest.raises(UserError, match="no grid of the run's images"):
        pictures.real_images(tmp_path, tmp_path, (32, 32, 1))
    with pytest.raises(UserError, match="no grid of the run's images"):
        pictures.real_images(tmp_path, tmp_path, (28, 28, 3))
    images, columns = pictures.real_images(tmp_path, tmp_path, (28, 28, 1))
    assert (len(images), columns) == (20, 10)


@pytest.mark.parametrize("text", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a..."])
def test_what_is_no_picture_is_refused_in_a_line(tmp_path, text):
    (tmp_path / "a.png").write_bytes(text)
    with pytest.raises(UserError, match="is damaged"):
        pictures.read(tmp_path, tmp_path / "a.png")
    with pytest.raises(UserError, match="not there yet, or no longer"):
        pictures.read(tmp_path, tmp_path / "b.png")


def test_the_steps_are_those_of_the_sample_grids(tmp_path):
    assert pictures.steps(tmp_path) == []
    (tmp_path / "samples").mkdir()
    for name in ("step_000050.png", "step_1000000.png", "step_x.png", "a.png"):
        (tmp_path / "samples" / name).touch()
    assert pictures.steps(tmp_path) == [50, 1_000_000]
    for step in (50, 1_000_000):
        assert pictures.grid_path(tmp_path, step).exists()


def test_curves_are_the_metrics_and_long_ones_are_averaged(tmp_path):
    making.log(tmp_path, range(1, 1001))
    found = pictures.curves(tmp_path, tmp_path)
    assert {*found} == {"d_loss", "g_loss"}
    curve = found["g_loss"]
    assert len(curve.steps) == 400
    np.testing.assert_allclose(curve.values, curve.steps, atol=1)  # g_loss is the step
    making.log(tmp_path, [5, 10])
    np.testing.assert_array_equal(
        pictures.curves(tmp_path, tmp_path)["g_loss"].values, [5, 10]
    )
    assert len(read_metrics(tmp_path)) == 2
