"""Grids put each image where it belongs; curves are drawn of what there is."""

import io

import numpy as np
import pytest
from PIL import Image

from gan_jax import plots
from gan_jax.errors import UserError


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


def test_curves_of_what_is_measured_at_few_steps_have_a_panel_too(tmp_path):
    names = ("d_loss", "g_loss", "real_logit", "fake_logit")
    names += ("d_gradient_norm", "g_gradient_norm")
    lines = [{"step": step} | dict.fromkeys(names, 1.0) for step in (10, 20, 30)]
    lines[2]["fcd"] = 5.0
    path = tmp_path / "curves.png"
    plots.save_curves(path, lines)
    assert Image.open(path).size[0] == pytest.approx(4 * 4.2 * 110, rel=0.01)


def test_a_film_shows_every_picture_in_order_and_rests_on_the_last(tmp_path):
    pictures = []
    for grey in (10, 100, 200):
        pictures.append(tmp_path / f"{grey}.png")
        Image.new("L", (8, 6), grey).save(pictures[-1])
    film = io.BytesIO()
    plots.save_film(film, pictures, milliseconds=50)
    with Image.open(film) as gif:
        assert gif.n_frames == 3
        assert gif.info["loop"] == 0
        for i, (grey, duration) in enumerate(((10, 50), (100, 50), (200, 500))):
            gif.seek(i)
            assert gif.info["duration"] == duration
            assert abs(gif.convert("L").getpixel((3, 3)) - grey) <= 1


def test_a_damaged_picture_of_a_film_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"a\.png is damaged"):
        plots.save_film(io.BytesIO(), [tmp_path / "a.png"], milliseconds=50)


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


def test_a_density_is_high_where_the_points_are():
    figure, grid = plots.mosaic(["a"], ["b", "c"])
    points = np.array([[1.0, -2.0]] * 50 + [[-1.0, 0.5]] * 10 + [[99.0, 0.0]])
    plots.draw_density(grid[0][0], points, 3.0)
    (image,) = grid[0][0].get_images()
    drawn = np.asarray(image.get_array())
    line = np.linspace(-3, 3, len(drawn) + 1)[:-1] + 3 / len(drawn)
    row, column = np.unravel_index(drawn.argmax(), drawn.shape)
    assert abs(line[column] - 1) < 0.05  # x goes to the right
    assert abs(line[row] + 2) < 0.05  # and y up
    assert image.origin == "lower"
    # A point outside is not seen; one with a fifth of the samples is.
    second = drawn[np.abs(line - 0.5).argmin(), np.abs(line + 1).argmin()]
    np.testing.assert_allclose(second / drawn.max(), 5**-0.5, atol=0.1)
    file = io.BytesIO()
    plots.save(file, figure)
    assert Image.open(file).size[0] > Image.open(file).size[1]


def test_a_mosaic_names_its_rows_and_columns():
    _, grid = plots.mosaic(["kl", "hinge"], ["1", "2", "data"])
    assert grid.shape == (2, 3)
    assert [axes.get_title() for axes in grid[0]] == ["1", "2", "data"]
    assert [axes.get_ylabel() for axes in grid[:, 0]] == ["kl", "hinge"]


def test_a_surface_has_its_values_where_they_belong():
    _, (axes,) = plots.subplots(["surface"])
    line = np.linspace(-2, 2, 21)
    values = np.broadcast_to(line[:, None], (21, 21))  # of y alone
    plots.draw_surface(axes, values, 2.0, np.array([[0.5, 1.5]]))
    contours = [c for c in axes.collections if hasattr(c, "levels")]
    for path, level in zip(contours[1].get_paths(), contours[1].levels, strict=True):
        np.testing.assert_allclose(path.vertices[:, 1], level, atol=1e-6)
    (dots,) = axes.lines
    assert dots.get_xydata().tolist() == [[0.5, 1.5]]
