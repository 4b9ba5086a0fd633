"""What the pages share: how they begin, how they say what is wrong, their pictures."""

import functools
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import gradio as gr
import numpy as np

from gan_jax import plots
from gan_jax.errors import UserError
from gan_jax.explore import folders, restored, runs


class Shared(NamedTuple):
    """What all pages know.

    Attributes:
      root: folder of all runs.
      own_code: whether code of one's own may be run.
    """

    root: pathlib.Path
    own_code: bool


def begin(title: str, text: str) -> gr.Markdown:
    """The head of a page, and the line below it for what is wrong.

    Args:
      title: of the page.
      text: two sentences: what it shows, with the paper. Markdown.
    """
    gr.Navbar(main_page_name="runs")
    gr.Markdown(f"# {title}\n{text}", elem_classes="head")
    return gr.Markdown(visible=False, elem_classes="message", elem_id="message")


def image(alt: str, **more: Any) -> tuple[gr.Markdown, gr.Image]:
    """A picture of pixels, and the line above it that says what it shows.

    Args:
      alt: the same in words, for who does not see it.
      **more: arguments of `gradio.Image`.
    """
    with gr.Column(min_width=more.pop("min_width", 300)):
        caption = gr.Markdown(alt.capitalize(), elem_classes="caption")
        how = {"format": "png", "elem_classes": "pixels", "buttons": ["fullscreen"]}
        picture = gr.Image(alt_text=alt, show_label=False, **(how | more))
    return caption, picture


def command(label: str) -> gr.Code:
    """A command line to copy."""
    return gr.Code(
        label=label,
        language="shell",
        lines=1,
        interactive=False,
        wrap_lines=True,
        show_line_numbers=False,
        buttons=["copy"],
        elem_id="command",
    )


def plain(text: str) -> str:
    """A text of strangers for Markdown: every sign of it or of HTML is shown as it is.

    So nothing in a run's files makes a picture, which would be fetched, or a link.
    """
    signs = r"[!-/:-@\[-`{-~]"
    return re.sub(signs, lambda s: f"&#{ord(s[0])};", folders.encodable(text))


def note(text: str = "") -> Any:
    """An update of the message line: nothing, or what is wrong."""
    return gr.update(value=plain(text), visible=bool(text))


def told(outputs: int, *, clear: Sequence[int] = ()) -> Callable[[Callable], Callable]:
    """Has a handler say on the page what is wrong, in place of failing.

    Args:
      outputs: how many the handler gives, as a tuple; the message comes behind them.
      clear: those of them that are emptied where something is wrong.
    """

    def wrap(handler: Callable) -> Callable:
        @functools.wraps(handler)
        def call(*args: Any) -> tuple[Any, ...]:
            try:
                found = handler(*args)
                assert len(found) == outputs, (handler, len(found))
                return (*found, note())
            except (UserError, OSError) as error:
                empty = [
                    gr.update(value=None) if i in clear else gr.skip()
                    for i in range(outputs)
                ]
                return (*empty, note(_line(error)))

        return call

    return wrap


def _line(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    return f"{getattr(error, 'filename', None) or 'a file'} cannot be read ({error})"


def asked_run(request: gr.Request, names: Sequence[str]) -> str | None:
    """The run of the address, ?run=NAME, or the first; None where there is none."""
    asked = request.query_params.get("run") if request else None
    return asked if asked in names else next(iter(names), None)


def restorable(shared: Shared, request: gr.Request) -> tuple[str | None, Any]:
    """The run that a page of networks begins with, None for none; and its picker."""
    found = runs.describe_all(shared.root)
    names = [run.name for run in found if run.has_samples]
    name = asked_run(request, names)
    return name, gr.update(choices=names, value=name)


def restore(shared: Shared, name: str | None) -> restored.Restored:
    """The run that was chosen.

    Raises:
      UserError: none was, as there is none perhaps; or as `restored.restore`.
    """
    if not name:
        raise UserError(
            "choose a run"
            if any(run.has_samples for run in runs.describe_all(shared.root))
            else f"no run in {shared.root} has a checkpoint yet: train one with"
            f" python -m experiments.train --workdir={shared.root}/first"
        )
    return restored.restore(shared.root, name, own_code=shared.own_code)


def folder_of(shared: Shared, name: str | None) -> pathlib.Path:
    """The folder of a run that was chosen.

    Raises:
      UserError: none was, or it is not there.
    """
    if not name:
        raise UserError(
            f"there is no run in {shared.root} yet: train one with"
            f" python -m experiments.train --workdir={shared.root}/first"
        )
    return folders.find(shared.root, name)


def grid(images: np.ndarray, columns: int) -> np.ndarray:
    """Images in rows, three times as large: what a page shows.

    Args:
      images: uint8 ``[N, height, width, channels]``.
      columns: in a row.
    """
    return enlarged(plots.image_grid(images, columns))


def enlarged(picture: np.ndarray, least: int = 280) -> np.ndarray:
    """Whole pixels made of each, until a side has ``least`` of them."""
    times = max(1, -(-least // max(picture.shape[:2])))
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def link(page: str, run: str) -> str:
    """Where a page shows a run, for an address."""
    return f"{page}?run={quote(run, safe='')}"
