"""Each control changes what it should; what is downloaded is what was seen."""

import io
import re
import statistics
import time

import numpy as np
import pytest
from PIL import Image

from gan_jax.explore import latents
from gan_jax.explore.directions import principal_directions
from tests.browser.acting import changes, choose, pick, press, says, visit
from tests.explore import making
from tests.study import made_up


def test_the_slider_of_training_goes_through_the_steps(page, address, root):
    visit(page, address, "training", "plain")
    assert "Samples at step 20" in page.inner_text(".gradio-container")
    changes(page, "#samples img", lambda: press(page, "step", "ArrowLeft"))
    assert "Samples at step 10" in page.inner_text(".gradio-container")
    shown = page.request.get(page.locator("#samples img").get_attribute("src"))
    there = Image.open(root / "plain" / "samples" / "step_000010.png")
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(shown.body())).convert("L")), there
    )
    changes(page, "#samples img", lambda: pick(page, "run", "penalised"))


def labels(page):
    return " ".join(page.locator("#plot svg text").all_text_contents())


def test_curves_are_chosen_overlaid_and_zoomed(page, address):
    visit(page, address, "training", "plain")
    page.wait_for_selector("#plot svg")
    assert {"d_loss", "g_loss"} <= {*labels(page).split()}
    pick(page, "others", "penalised")
    says(page, "#plot", "penalised: d_loss")
    choose(page, "curve", "logits")  # that were not logged
    page.wait_for_function(
        "!document.querySelector('#plot').textContent.match('d_loss')"
    )
    choose(page, "curve", "losses")
    says(page, "#plot", "plain: d_loss")
    box = page.locator("#plot svg").bounding_box()
    ends = [(box["x"] + box["width"] * share, box["y"] + 90) for share in (0.4, 0.6)]
    before = labels(page)
    page.keyboard.press("Escape")
    page.mouse.move(*ends[0])
    page.mouse.down()
    page.mouse.move(*ends[1], steps=5)
    page.mouse.up()
    other = """before => {
        const texts = [...document.querySelectorAll('#plot svg text')];
        return texts.length && texts.map(t => t.textContent).join(' ') !== before;
    }"""
    page.wait_for_function(other, arg=before)
    page.wait_for_timeout(500)
    zoomed = labels(page)
    assert " 20 " in before  # the last step
    assert " 20 " not in zoomed
    page.click("#whole")
    page.wait_for_function(other, arg=zoomed)
    page.wait_for_timeout(500)
    assert labels(page) == before


LATENTS = {
    "count": lambda page: press(page, "count", "ArrowLeft"),
    "truncation": lambda page: press(page, "bound", "ArrowLeft"),
    "direction": lambda page: press(page, "d1"),
    "last direction": lambda page: press(page, "d6", "ArrowLeft"),
    "next seed": lambda page: page.click("#next"),
    "class": lambda page: choose(page, "label", "3 Dress"),
    "walk": lambda page: choose(page, "kind", "A walk to another seed"),
    "run": lambda page: pick(page, "run", "penalised"),
}


@pytest.mark.parametrize("control", LATENTS)
def test_a_control_of_latents_changes_the_samples(page, address, control):
    visit(page, address, "latents", "labelled")
    changes(page, "#picture img", lambda: LATENTS[control](page))


def test_the_seed_of_a_walks_end_is_asked_for_on_a_walk_alone(page, address):
    visit(page, address, "latents", "plain")
    assert not page.locator("#to").is_visible()
    assert not page.locator("#label").is_visible()  # it knows no classes
    changes(page, "#picture img", lambda: LATENTS["walk"](page))
    changes(page, "#picture img", lambda: page.locator("#to input").fill("5"))
    says(page, "#command", "--to_seed=5")
    changes(page, "#picture img", lambda: page.locator("#seed input").fill("7"))
    says(page, "#command", "--seed=7 ")


def test_directions_go_back_to_where_they_were(page, address):
    visit(page, address, "latents", "plain")
    before = page.locator("#picture img").get_attribute("src")
    changes(page, "#picture img", lambda: press(page, "d2"))
    changes(page, "#picture img", lambda: page.click("#straight"))
    image = page.locator("#picture img").get_attribute("src")
    assert image.rpartition("/")[0] == before.rpartition("/")[0]  # the same bytes


def test_what_is_downloaded_is_what_is_seen_and_says_how_to_make_it_again(
    page, address, root, tmp_path
):
    visit(page, address, "latents", "labelled")
    changes(page, "#picture img", lambda: press(page, "d1"))
    changes(page, "#picture img", lambda: press(page, "bound", "ArrowLeft"))
    changes(page, "#picture img", lambda: choose(page, "label", "2 Pullover"))
    found = {}
    for kind in ("npz", "png"):
        with page.expect_download() as download:
            page.click(f"#{kind}")
        found[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(found[kind])
    view = latents.View(
        seed=0, count=36, truncation=3.9, along=(0.1, *[0.0] * 5), label=2
    )
    command = says(page, "#command", "--label=2").replace("\n", " ")
    for word in (f"--workdir={root / 'labelled'}", *view.flags()):
        assert word in re.sub(r"(?<=\S)\s(?=\S{1,3}\s)", " ", command), command
    gan, state = making.gan_and_state(making.config_of(conditional=True))
    drawn = latents.draw(gan, state, view, principal_directions(gan, state, count=6))
    with np.load(found["npz"]) as there:
        np.testing.assert_array_equal(there["labels"], [2] * 36)
        np.testing.assert_allclose(there["z"], drawn.z, atol=1e-5)
        difference = np.abs(there["images"].astype(int) - drawn.images)
        assert difference.max() <= 1
    # 6 x 6 images of 28 pixels, 2 between them, each pixel twice as wide.
    assert Image.open(found["png"]).size == (356, 356)


CRITIC = {
    "real images": lambda page: choose(page, "which", "real images"),
    "between": lambda page: choose(page, "which", "between"),
    "order": lambda page: choose(page, "order", "gradient norm"),
    "run": lambda page: pick(page, "run", "plain"),
}


@pytest.mark.parametrize("control", CRITIC)
def test_a_control_of_the_critic_changes_the_images(page, address, control):
    visit(page, address, "critic", "penalised")
    changes(page, "#picture img", lambda: CRITIC[control](page))
    assert not page.locator("#message").is_visible()


def test_images_are_in_the_order_of_their_scores(page, address):
    visit(page, address, "critic", "labelled")

    def score():
        return float(re.search(r"Score (-?[\d.]+)", page.inner_text("#said"))[1])

    lowest = score()
    changes(page, "#one img", lambda: press(page, "place", "End"))
    highest = score()
    changes(page, "#one img", lambda: press(page, "place", "ArrowLeft"))
    assert lowest < score() <= highest
    assert "between" in page.inner_text("#about")
    assert page.locator("#plot svg path").count() > 3


def step(page):
    return int(
        re.search(r"Step ([\d,]+)", page.inner_text("#about"))[1].replace(",", "")
    )


def test_a_gan_is_trained_paused_stepped_and_reset(page, address):
    visit(page, address, "two_dimensions")
    assert step(page) == 0
    page.click("#play")
    says(page, "#about", "Step (50|75|1\\d\\d)")
    assert page.inner_text("#play") == "Pause"
    page.click("#play")
    page.wait_for_function("document.querySelector('#play').innerText === 'Train'")
    page.wait_for_timeout(1500)  # what was under way is done
    paused = step(page)
    page.wait_for_timeout(1500)
    assert step(page) == paused
    changes(page, "#plane img", lambda: page.click("#one"))
    says(page, "#about", f"Step {paused + 1}\\.")
    changes(page, "#plane img", lambda: page.click("#reset"))
    says(page, "#about", "Step 0\\.")


PLANE = {
    "data": lambda page: choose(page, "data", "Swiss roll"),
    "seed": lambda page: page.locator("#seed input").fill("1"),
    "loss": lambda page: pick(page, "loss", "hinge"),
}


@pytest.mark.parametrize("control", PLANE)
def test_a_control_of_the_plane_changes_the_picture(page, address, control):
    visit(page, address, "two_dimensions")
    changes(page, "#plane img", lambda: PLANE[control](page))


def test_a_loss_comes_with_its_penalty_and_numbers_change_what_is_trained(
    page, address
):
    visit(page, address, "two_dimensions")
    pick(page, "loss", "wasserstein_gp")
    page.wait_for_function(
        "document.querySelector('#penalty input').value === 'gradient_penalty'"
    )
    assert page.locator("#critic_steps input[type=number]").input_value() == "2"
    page.wait_for_timeout(500)

    def after_one_step():
        changes(page, "#plane img", lambda: page.click("#one"))
        says(page, "#about", "Step 1\\.")
        return page.inner_text("#about")

    first = after_one_step()
    for act in (
        lambda: press(page, "critic_steps"),
        lambda: pick(page, "penalty", "none"),
        lambda: press(page, "rate", "ArrowLeft"),
    ):
        act()
        page.click("#reset")
        says(page, "#about", "Step 0\\.")
        again = after_one_step()
        assert again != first
        first = again
    press(page, "speed", "Home")
    page.click("#play")
    says(page, "#about", "Step [3-9]\\.")  # one at a time


def test_a_study_is_filtered_sorted_and_looked_into(page, address):
    visit(page, address, "study")
    text = page.inner_text("#study-table")
    assert text.index("70") < text.index("100")  # the best first
    pick(page, "loss", "hinge")
    page.wait_for_function(
        "!document.querySelector('#study-table').innerText.includes('kl')"
    )
    page.locator("#alive input").check()
    page.wait_for_function(
        "!document.querySelector('#study-table').innerText.includes('100')"
    )
    pick(page, "loss", "every loss")
    changes(
        page,
        "#samples img",
        lambda: page.locator(
            "#study-table [role=gridcell]", has_text="kl"
        ).first.click(),
    )
    says(page, "#command", "--loss=kl")
    changes(page, "#samples img", lambda: page.locator("#number input").fill("1"))
    says(page, "#command", "--loss=hinge")
    assert "FCD 90.0" in page.inner_text(".gradio-container")


def test_a_study_of_thousands_shows_the_best(page, address, capsys):
    visit(page, address, "study")
    begun = time.perf_counter()
    pick(page, "study", "thousands")
    said = says(page, "#about", "10000 GANs: .* were stopped early")
    waited = time.perf_counter() - begun
    assert "The table has the best 500" in said
    assert "There is no figure yet" in said
    assert page.locator("#study-table [role=gridcell]").count() < 12 * 500
    assert page.locator("img").count() < 10
    page.locator("#number input").fill("9999")
    says(page, "#command", "--loss=kl .*--seed=4999 --steps=900")
    assert "stopped at step" in page.inner_text(".gradio-container")
    begun = time.perf_counter()
    pick(page, "loss", "kl")
    page.wait_for_function(
        "!document.querySelector('#study-table').innerText.includes('hinge')"
    )
    filtered = time.perf_counter() - begun
    with capsys.disabled():
        print(f"\n10,000 GANs: shown after {waited:.1f} s, filtered {filtered:.1f} s")


def test_in_the_table_of_a_study_stopped_gans_are_behind_all_others():
    from experiments.explorer import study

    rows = made_up.study("generator_lr:1e-4..1e-2:log,seed:0..26", halved=True)[2]
    table = study._table(rows, study._EVERY, False)
    assert [*table["stopped"]] == [False] * 3 + [True] * 24
    assert [*table["FCD"][:3]] == sorted(table["FCD"][:3])
    assert "stopped" not in study._table([rows[table["GAN"][0]]], study._EVERY, False)


@pytest.mark.slow
def test_how_long_one_waits(page, address, served, capsys):
    """Printed, and not asserted: machines are shared."""
    page.goto("about:blank")
    first = changes(page, "#cards img", lambda: page.goto(address, wait_until="commit"))
    visit(page, address, "latents", "plain")
    changes(page, "#picture img", lambda: press(page, "d1"))
    waited = {
        "latents": [
            changes(page, "#picture img", lambda: press(page, "d1")) for _ in range(9)
        ]
    }
    visit(page, address, "training", "plain")
    page.wait_for_timeout(1000)
    keys = ["ArrowLeft", "ArrowRight"] * 4
    waited["training"] = [
        changes(page, "#samples img", lambda key=key: press(page, "step", key))
        for key in keys
    ]
    visit(page, address, "critic", "plain")
    waited["critic"] = [
        changes(page, "#one img", lambda: press(page, "place")) for _ in range(9)
    ]
    with capsys.disabled():
        print(
            f"\nthe server was up after {served[1]:.1f} s; first picture {first:.2f} s"
        )
        for name, times in waited.items():
            ms = [1000 * t for t in times]
            print(
                f"{name}: a slider's picture after {statistics.median(ms):.0f} ms"
                f" ({min(ms):.0f}..{max(ms):.0f})"
            )
