"""The page of studies: the GANs of one in a table, its figures, samples of a GAN."""

import functools
import math
import pathlib
from typing import Any

import gradio as gr
import pandas as pd

from experiments.common import study_report
from experiments.explorer.page import Shared, begin, image, plain, told
from experiments.explorer.page import command as command_line
from gan_jax.errors import UserError
from gan_jax.evaluation.features import DISTANCES, distance_in
from gan_jax.explore import folders, pictures
from gan_jax.run import configuration
from gan_jax.study import ledger

_TEXT = (
    "Many GANs that differ in loss, seed and numbers: a table to sort and to filter,"
    " and the figures of `experiments.study`. One good GAN proves little: what counts"
    " is the distribution over seeds, and the best that a number of tries may expect"
    " ([Lucic et al. 2018](https://arxiv.org/abs/1711.10337))."
)
_EVERY = "every loss"
_LISTED = 500  # rows of the table
_MEASURES = ("classes", "variety", "collapsed", "steps", "seconds")


def build(page: gr.Blocks, shared: Shared) -> None:
    """Makes the page."""
    message = begin("Study", _TEXT)
    with gr.Row():
        study = gr.Dropdown(label="Study", elem_id="study")
        loss = gr.Dropdown([_EVERY], value=_EVERY, label="Loss", elem_id="loss")
        alive = gr.Checkbox(label="Only those that did not collapse", elem_id="alive")
    about = gr.Markdown(elem_id="about")
    table = gr.Dataframe(
        interactive=False,
        show_search="filter",
        elem_id="study-table",
        label="Choose a row to see its samples",
        max_height=360,
    )
    _, figure = image("distances of all GANs, and the best of k", elem_id="figure")
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            number = gr.Number(
                0,
                label="GAN, by its number in the table",
                precision=0,
                minimum=0,
                elem_id="number",
            )
            command = command_line("Trains this GAN alone")
        with gr.Column(scale=3, min_width=300):
            caption, samples = image("samples of the GAN", elem_id="samples")

    def choose(name: str | None) -> tuple[Any, ...]:
        """Losses, text, table, figure, and the first GAN: of a study."""
        rows = _rows(shared, name)
        losses = list(dict.fromkeys(row["loss"] for row in rows))
        lost = sum(bool(row["collapsed"]) for row in rows)
        said = f"{len(rows)} GANs are done, {lost} of them collapsed."
        if stopped := sum(map(ledger.is_stopped, rows)):
            said = f"{len(rows)} GANs: {stopped} were stopped early, {lost} collapsed."
        if len(rows) > _LISTED:
            said += f" The table has the best {_LISTED} of those that you ask for."
        try:
            drawn = pictures.read(shared.root, _folder(shared, name) / "study.png")
        except UserError:
            drawn = None
            said += " There is no figure yet: a study draws it when all are done."
        return (
            gr.update(choices=[_EVERY, *losses], value=_EVERY),
            said,
            _table(rows, _EVERY, False),
            drawn,
            *one(name, 0),
        )

    def one(name: str | None, i: float) -> tuple[Any, ...]:
        """Number, caption, samples and command of a GAN."""
        rows = _rows(shared, name)
        place = min(max(int(i or 0), 0), len(rows) - 1)
        row = rows[place]
        folder = _folder(shared, name)
        path = folder / "samples" / f"{study_report.file_name(row)}.png"
        try:
            grid = pictures.read(shared.root, path)
        except UserError:
            grid = None  # one whose numbers are not finite has none
        words = study_report.command(row, _shared_flags(shared, folder))
        return place, plain(study_report.line(row)), grid, words

    @told(8, clear=(2, 3, 6))
    def chosen(name: str | None) -> tuple[Any, ...]:
        return choose(name)

    def first() -> tuple[Any, ...]:
        """The picker, also where its first study cannot be shown; and what can."""
        names = _names(shared)
        name = next(iter(names), None)
        return gr.update(choices=names, value=name), *chosen(name)

    @told(1)
    def filtered(name: str, loss: str, alive: bool) -> tuple[Any, ...]:
        return (_table(_rows(shared, name), loss, alive),)

    @told(4, clear=(2,))
    def picked(name: str, event: gr.SelectData) -> tuple[Any, ...]:
        return one(name, event.row_value[0])

    @told(4, clear=(2,))
    def numbered(name: str, i: float) -> tuple[Any, ...]:
        return one(name, i)

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    of_one = [number, caption, samples, command]
    of_study = [loss, about, table, figure, *of_one]
    page.load(first, outputs=[study, *of_study, message], **quiet)
    study.input(chosen, inputs=study, outputs=[*of_study, message], **quiet)
    gr.on(
        [loss.input, alive.input],
        filtered,
        inputs=[study, loss, alive],
        outputs=[table, message],
        **quiet,
    )
    table.select(picked, inputs=study, outputs=[*of_one, message], **quiet)
    number.input(numbered, inputs=[study, number], outputs=[*of_one, message], **quiet)


def _names(shared: Shared) -> list[str]:
    found = folders.listing(shared.root).studies
    return [name for name in found if name == folders.encodable(name)]


def _folder(shared: Shared, name: str | None) -> Any:
    if not name:
        raise UserError(
            "choose a study"
            if _names(shared)
            else f"there is no study in {shared.root} yet: python -m experiments.study"
            f" --workdir={shared.root}/study trains sixteen GANs"
        )
    return folders.find(shared.root, name)


def _rows(shared: Shared, name: str | None) -> list[ledger.Row]:
    """The GANs of a study that are done.

    Raises:
      UserError: a line is damaged, or there is none yet.
    """
    folder = _folder(shared, name)
    folders.require_inside(shared.root, folder / ledger.LINES)
    path = folder / ledger.LINES
    about = path.stat() if path.exists() else None
    rows = _read(folder, about and (about.st_mtime_ns, about.st_size))
    if not rows:
        raise UserError(f"no GAN of {name} is done yet")
    return rows


@functools.lru_cache(maxsize=2)
def _read(folder: pathlib.Path, version: Any) -> list[ledger.Row]:
    """The rows as they were when the file had this time and size."""
    return list(ledger.read(folder).values())


def _table(rows: list[ledger.Row], loss: str, alive: bool) -> pd.DataFrame:
    """The best of the rows that are asked for; their number is the first column.

    Those that were stopped early are behind all others.
    """
    key = distance_in(rows[0])

    def rank(numbered: tuple[int, ledger.Row]) -> tuple[bool, float]:
        row = numbered[1]
        return ledger.is_stopped(row), math.inf if row[key] is None else row[key]

    asked = [
        (i, row)
        for i, row in enumerate(rows)
        if loss in (_EVERY, row["loss"]) and not (alive and row["collapsed"])
    ]
    asked = sorted(asked, key=rank)[:_LISTED]
    swept = dict.fromkeys(name for _, row in asked for name in row["swept"])
    stopped = any(ledger.is_stopped(row) for _, row in asked)
    lines = [
        {"GAN": i, "loss": row["loss"]}
        | {name: row["swept"].get(name) for name in swept}
        | {"seed": row["seed"], DISTANCES[key]: row.get(key)}
        | {name: row[name] for name in _MEASURES}
        | ({"stopped": ledger.is_stopped(row)} if stopped else {})
        for i, row in asked
    ]
    if not lines:
        return pd.DataFrame({"GAN": []})
    table = pd.DataFrame(lines).round(6)
    return table.astype(object).where(table.notna(), "")  # None breaks the search


def _shared_flags(shared: Shared, folder: pathlib.Path) -> dict[str, Any]:
    """Flags of `experiments.train` that all GANs of a study have in common."""
    path = folders.require_inside(shared.root, folder / "config.json")
    try:
        config = configuration.read_json(path)
        study = config["study"]  # of before, when the flags were not kept
        names = ("recipe", "dataset", "conditional")
        flags = config.get("flags") or {name: study[name] or None for name in names}
        return {str(n): v for n, v in flags.items() if isinstance(v, bool | int | str)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
