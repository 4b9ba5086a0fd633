"""Grids put each image where it belongs; curves are drawn of what there is."""

import io

import numpy as np
import pytest
from PIL import Image

from gan_jax import plots


def images(count):
    return np.random.default_rng(0).integers(0, 256, (count, 5, 4, 1)).astype(np.uint8)


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (6, 3), (7, 3), (2, 10)])
def test_a_grid_holds_every_image_in_reading_order(count, columns):
    batch = images(count)
    grid = plots.image_grid(batch, columns)
    rows = -(-count // columns)
    assert grid.shape == (rows * 7 - 2, columns * 6 - 2)
    for i, image in enumerate(batch):
        top, left = i // columns * 7, i % columns * 6
        np.testing.assert_array_equal(
            grid[top : top + 5, left : left + 4], image[..., 0]
        )


def test_a_saved_grid_is_the_grid_twice_as_large_and_the_same_bytes_again():
    first, second = io.BytesIO(), io.BytesIO()
    plots.save_grid(first, images(6), columns=3)
    plots.save_grid(second, images(6), columns=3)
    assert first.getvalue() == second.getvalue()
    pixels = np.asarray(Image.open(first))
    np.testing.assert_array_equal(pixels[::2, ::2], plots.image_grid(images(6), 3))
    np.testing.assert_array_equal(pixels[1::2, 1::2], pixels[::2, ::2])


@pytest.mark.parametrize("penalised", [False, True])
def test_curves_have_a_panel_for_each_kind_of_metric(tmp_path, penalised):
    names = ["d_loss", "g_loss", "real_logit", "fake_logit"]
    names += ["d_gradient_norm", "g_gradient_norm"] + ["penalty"] * penalised
    lines = [
        {"step": step} | {name: 0.1 + i * step for i, name in enumerate(names)}
        for step in (10, 20, 30)
    ]
    path = tmp_path / "curves.png"
    plots.save_curves(path, lines)
    width, height = Image.open(path).size
    assert height > 300
    assert width == pytest.approx((4 if penalised else 3) * 4.2 * 110, rel=0.01)
