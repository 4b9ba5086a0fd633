"""The page of the critic: scores of images, and the gradient's norm at each."""

import functools
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
import pandas as pd

from experiments.explorer.page import (
    Shared,
    begin,
    enlarged,
    grid,
    image,
    plain,
    restorable,
    restore,
    told,
)
from gan_jax.errors import UserError
from gan_jax.explore import critic, pictures, restored
from gan_jax.run import sampling
from gan_jax.training import to_uint8

_TEXT = (
    "What the discriminator, or critic, says of the run's real images, of its samples,"
    " and of points between the two: its score (the logit; higher is more real to it),"
    " and the norm of the score's gradient by the pixels. The penalty of"
    " [Gulrajani et al. 2017](https://arxiv.org/abs/1704.00028) holds that norm at 1"
    " between real images and samples, and with no penalty nothing holds it."
)
_SETS = ("samples", "real images", "between")
_ORDERS = {"score": "logits", "gradient norm": "norms"}
_MOST = 100


class _Scored(NamedTuple):
    images: np.ndarray
    scores: critic.Scores


def build(page: gr.Blocks, shared: Shared) -> None:
    """Makes the page."""
    message = begin("Critic", _TEXT)
    with gr.Row():
        run = gr.Dropdown(label="Run", elem_id="run")
        which = gr.Radio(_SETS, value=_SETS[0], label="Images", elem_id="which")
        order = gr.Radio(
            list(_ORDERS), value="score", label="Sorted by", elem_id="order"
        )
    about = gr.Markdown(elem_id="about")
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            caption, picture = image("images in their order", elem_id="picture")
        with gr.Column(scale=2, min_width=320):
            plot = gr.ScatterPlot(
                x="score",
                y="gradient norm",
                color="images",
                height=300,
                elem_id="plot",
                elem_classes="plot",
                label="Every image",
            )
            place = gr.Slider(
                1, _MOST, 1, step=1, label="Place in the order", elem_id="place"
            )
            with gr.Row():
                _, one = image("image", elem_id="one", min_width=120, buttons=[])
                _, slope = image("gradient", elem_id="slope", min_width=120, buttons=[])
            said = gr.Markdown(elem_id="said")

    def show(name: str | None, which: str, order: str) -> tuple[Any, ...]:
        """Texts, sorted images, plot, slider, and the first image."""
        found = restore(shared, name)
        sets = _scored(shared.root, name, found)
        ranked = _ranked(sets[which], order)
        words = f"{which.capitalize()}, lowest {order} first"
        small = grid(sets[which].images[ranked], 10)
        slider = gr.update(maximum=len(ranked), value=1)
        return (
            _about(found, sets),
            words,
            enlarged(small, 560),
            _table(sets),
            slider,
            *look(name, which, order, 1),
        )

    def look(name: str, which: str, order: str, place: float) -> tuple[Any, ...]:
        """One image, its gradient, and what the critic says of it."""
        found = restore(shared, name)
        images, scores = _scored(shared.root, name, found)[which]
        ranked = _ranked(_Scored(images, scores), order)
        i = ranked[min(max(int(place), 1), len(ranked)) - 1]
        image = images[i][..., 0] if images.shape[-1] == 1 else images[i]
        words = f"Score {scores.logits[i]:.3f}, gradient norm {scores.norms[i]:.3f}."
        gradient = critic.gradient_picture(scores.gradients[i])
        return enlarged(image), enlarged(gradient), words

    @told(8, clear=(2, 5, 6))
    def changed(*values: Any) -> tuple[Any, ...]:
        return show(*values)

    def first(request: gr.Request, which: str, order: str) -> tuple[Any, ...]:
        """The picker, also where its first run cannot be shown; and what can."""
        name, picker = restorable(shared, request)
        return picker, *changed(name, which, order)

    @told(3, clear=(0, 1))
    def looked(*values: Any) -> tuple[Any, ...]:
        return look(*values)

    shown = [about, caption, picture, plot, place, one, slope, said]
    quiet = {"show_progress": "minimal", "api_visibility": "private"}
    page.load(first, inputs=[which, order], outputs=[run, *shown, message], **quiet)
    gr.on(
        [run.input, which.input, order.input],
        changed,
        inputs=[run, which, order],
        outputs=[*shown, message],
        **quiet,
    )
    place.input(
        looked,
        inputs=[run, which, order, place],
        outputs=[one, slope, said, message],
        trigger_mode="always_last",
        show_progress="hidden",
        api_visibility="private",
    )


@functools.lru_cache(maxsize=4)
def _scored(root: Any, name: str, found: restored.Restored) -> dict[str, _Scored]:
    """Real images, as many samples, and points between them, scored."""
    real, columns = pictures.real_images(root, root / name, tuple(found.config.shape))
    real = real[:_MOST]
    fake = sampling.draw(found.gan, found.state, len(real))
    labels = fake.labels
    if labels is not None:  # a column of the real images is a class, too
        labels = np.arange(len(real), dtype=np.int32) % columns
        if columns != min(found.gan.num_classes, 10):
            raise UserError(
                f"the classes of the real images of {name} are not known: there are"
                " fewer than ten of a class"
            )
    between = critic.between(real, fake.images)
    sets = (
        (fake.images, fake.images, fake.labels),
        (real, real, labels),
        (np.asarray(to_uint8(between)), between, labels),
    )
    return {
        which: _Scored(images, critic.scores(found.gan, found.state, x, label))
        for which, (images, x, label) in zip(_SETS, sets, strict=True)
    }


def _ranked(scored: _Scored, order: str) -> np.ndarray:
    return np.argsort(getattr(scored.scores, _ORDERS[order]), kind="stable")


def _about(found: restored.Restored, sets: dict[str, _Scored]) -> str:
    recipe = found.config.recipe
    penalty = "without a penalty"
    if recipe.penalty != "none":
        penalty = f"with {plain(recipe.penalty)} of weight {recipe.penalty_weight:g}"
    means = ", ".join(
        f"{which} {s.scores.logits.mean():.2f} ({s.scores.norms.mean():.2f})"
        for which, s in sets.items()
    )
    warned = plain(" ".join(found.warnings))
    return (
        f"{plain(recipe.loss)} {penalty}, step {found.step}. Mean score, and in"
        f" brackets mean gradient norm: {means}. {warned}"
    )


def _table(sets: dict[str, _Scored]) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"score": s.scores.logits, "gradient norm": s.scores.norms})
        for s in sets.values()
    ]
    names = sets.keys()
    tables = zip(names, parts, strict=True)
    return pd.concat([part.assign(images=name) for name, part in tables])
