"""The page of all runs: a card for each, and a table to sort and search."""

import base64
import datetime
import functools
import html
import io
import pathlib
from typing import Any

import gradio as gr

from experiments.explorer.page import Shared, begin, link
from gan_jax import plots
from gan_jax.errors import UserError
from gan_jax.explore import folders, pictures, runs

_TEXT = (
    "Every run below the folder that the explorer was started with, the newest first:"
    " its loss, its data, how far it is, the last samples, and the Fréchet distance if"
    " it was measured. The distance is that of"
    " [Heusel et al. 2017](https://arxiv.org/abs/1706.08500) in other features"
    " (FCD); lower is better, and only numbers of the same features compare."
)
_CARDS = 24
_SIDE = 5  # samples of a card, in rows and columns
_HEADERS = ["run", "status", "loss", "data", "step", "of", "distance", "of what", "why"]
_TYPES = ["str", "str", "str", "str", "number", "number", "number", "str", "str"]
_WIDTHS = ["160px", "110px", "150px", "150px", "80px", "80px", "90px", "90px", "420px"]
_SECONDS = 3.0  # between looks at the folder


def build(app: gr.Blocks, shared: Shared) -> None:
    """Makes the page."""
    begin("Runs", _TEXT)
    cards = gr.HTML(elem_id="cards")
    with gr.Accordion("As a table", open=False):
        table = gr.Dataframe(
            headers=_HEADERS,
            datatype=_TYPES,
            interactive=False,
            show_search="filter",
            elem_id="runs-table",
            column_widths=_WIDTHS,
            max_chars=80,
            show_label=False,
        )
    seen = gr.State(None)
    timer = gr.Timer(_SECONDS)

    def update(before: Any) -> tuple[Any, Any, Any]:
        found = runs.describe_all(shared.root)
        now = hash(tuple(found))
        if now == before:
            return gr.skip(), gr.skip(), gr.skip()
        return _cards(shared, found), [_row(run) for run in found], now

    def first() -> tuple[Any, Any, Any]:
        return update(None)

    how = {"outputs": [cards, table, seen], "show_progress": "hidden"}
    app.load(first, **how, api_visibility="private")
    timer.tick(update, inputs=seen, **how, api_visibility="private")


def _row(run: runs.Run) -> list[Any]:
    """A row of the table; what is unknown is empty: None breaks the search."""
    config, distance = run.config, run.distance
    return [
        run.name,
        run.status,
        folders.encodable(config.recipe.loss) if config else "",
        folders.encodable(config.dataset) if config else "",
        run.step,
        config.steps if config else "",
        round(distance[1], 2) if distance else "",
        distance[0] if distance else "",
        folders.encodable(run.reason),
    ]


def _cards(shared: Shared, found: list[runs.Run]) -> str:
    if not found:
        return (
            "<p>There is no run here yet. Train one: <code>python -m"
            f" experiments.train --workdir={html.escape(str(shared.root))}/first"
            '</code>; or see <a href="two_dimensions">two dimensions</a>, which needs'
            " none.</p>"
        )
    cards = "".join(_card(shared, run) for run in found[:_CARDS])
    more = len(found) - _CARDS
    rest = f"<p>{more} more are in the table.</p>" if more > 0 else ""
    return f'<div class="cards">{folders.encodable(cards)}</div>{rest}'


def _card(shared: Shared, run: runs.Run) -> str:
    picture = '<div class="none">no samples</div>'
    source = _thumbnail_of(shared, run)
    if source:
        alt = html.escape(f"{_SIDE**2} samples of {run.name}")
        picture = f'<img alt="{alt}" src="{source}">'
    lines = []
    if run.config is not None:
        kind = ", conditional" if run.config.recipe.conditional else ""
        lines += [f"{run.config.recipe.loss}{kind}", f"on {run.config.dataset}"]
        lines += [f"step {run.step} of {run.config.steps}"]
    if run.distance is not None:
        lines.append(f"{run.distance[0]} {run.distance[1]:.1f}")
    if run.changed:
        when = datetime.datetime.fromtimestamp(run.changed)
        lines.append(when.strftime("%Y-%m-%d %H:%M"))
    if run.status not in (runs.DONE, runs.RUNNING):
        lines.append(run.reason.replace(f"{shared.root}/", ""))
    links = ""
    if run.status != runs.REFUSED:
        pages = ["training", *(["latents", "critic"] if run.has_samples else [])]
        anchors = (
            f'<a href="{html.escape(link(page, run.name))}">{page}</a>'
            for page in pages
        )
        links = f'<p class="links">{"".join(anchors)}</p>'
    word = run.status.replace(" ", "-")
    body = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    return (
        f'<article class="card">{picture}<h3>{html.escape(run.name)}</h3>'
        f'<p class="status {word}">{html.escape(run.status)}</p>{body}{links}</article>'
    )


def _thumbnail_of(shared: Shared, run: runs.Run) -> str | None:
    """The last samples of a run; None where there are none that can be read."""
    if run.config is None:
        return None
    folder = shared.root / run.name
    steps = pictures.steps(folder)
    if not steps:
        return None
    path = pictures.grid_path(folder, steps[-1])
    try:
        stamp = path.stat().st_mtime_ns
        return _thumbnail(shared.root, path, tuple(run.config.shape), stamp)
    except (UserError, OSError):
        return None


@functools.lru_cache(maxsize=256)
def _thumbnail(
    root: pathlib.Path, path: pathlib.Path, shape: tuple[int, int, int], stamp: int
) -> str:
    """A few samples of a grid, as the address of a PNG that holds itself."""
    from PIL import Image

    grid = pictures.read(root, path)
    try:
        images, columns = plots.split_grid(grid, shape)
        side = min(_SIDE, columns)
        rows = images[: len(images) // columns * columns]
        few = rows.reshape(-1, columns, *shape)[:side, :side].reshape(-1, *shape)
        grid = plots.image_grid(few, side)
    except ValueError:
        pass  # of another shape: the whole of it
    file = io.BytesIO()
    Image.fromarray(grid).save(file, format="PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
