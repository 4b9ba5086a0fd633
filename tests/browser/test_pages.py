"""Every page loads; what is wrong with a run is said and breaks nothing."""

import json
import os
import pathlib
import re
import shutil
import signal
import urllib.error
import urllib.request

import pytest

from tests.browser.acting import FIRST, PAGES, changes, press, says, visit
from tests.explore import making
from tests.processes.running import Process, wait_until

SCREENS = {"wide": (1280, 900, "light"), "narrow": (400, 800, "dark")}


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_shows_something_and_complains_of_nothing(page, address, path, screen):
    width, height, scheme = SCREENS[screen]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)
    visit(page, address, path)
    assert page.inner_text("h1") == PAGES[path]
    assert page.locator(".head a[href^='https://arxiv.org/abs/']").count() >= 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    bright = sum(map(int, background.strip("rgba()").split(",")[:3])) > 384
    assert bright == (scheme == "light")
    assert not page.locator("#message").is_visible()


def test_the_pages_name_one_another(page, address):
    visit(page, address, "")
    for path, title in list(PAGES.items())[1:]:
        page.get_by_role("link", name=path.replace("_", " "), exact=True).first.click()
        page.wait_for_selector(FIRST[path])
        assert page.inner_text("h1") == title


def card(page, name):
    return page.locator(".card").filter(
        has=page.get_by_role("heading", name=name, exact=True)
    )


def test_every_run_has_a_card_that_says_how_it_is(page, address):
    visit(page, address, "")
    said = {
        "plain": ("done", "nonsaturating", "on garments", "step 20 of 20"),
        "labelled": ("done", "conditional"),
        "cut": ("damaged", "config.json is damaged"),
        "half": ("half-written", "before its first checkpoint"),
        "other": ("another version", "of gan_jax 9.9"),
        "link": ("not read", "leads outside"),
    }
    for name, words in said.items():
        text = card(page, name).inner_text()
        assert all(word in text for word in words), text
    assert card(page, "plain").locator("img").count() == 1
    card(page, "penalised").get_by_text("critic").click()
    page.wait_for_selector(FIRST["critic"])
    assert page.locator("#run input").input_value() == "penalised"


def test_the_table_of_runs_is_searched(page, address):
    visit(page, address, "")
    page.get_by_text("As a table").click()
    says(page, "#runs-table", "labelled")
    page.locator("#runs-table input").first.press_sequentially("wasserstein_gp")
    page.wait_for_function(
        """() => {
            const text = document.querySelector('#runs-table').innerText;
            return text.includes('penalised') && !text.includes('labelled');
        }"""
    )


def test_a_run_that_is_trained_is_seen_to_go_on(page, address, root):
    folder = root / "growing"
    making.make_run(folder, step=10, checkpoint=False)
    making.hold(folder)
    try:
        visit(page, address, "")
        says(page, "#cards", "growing\\s+running[^@]*step 10 of 20")
        page.goto(f"{address}training?run=growing")
        page.wait_for_selector("#samples img")
        says(page, "#about", "running: step 10 of 20")

        def train():
            making.log(folder, [5, 10, 15])
            shutil.copy(
                root / "plain" / "samples" / "step_000020.png",
                folder / "samples" / "step_000015.png",
            )

        changes(page, "#samples img", train)
        says(page, "#about", "running: step 15 of 20")
        assert "Samples at step 15" in page.inner_text(".gradio-container")
        page.goto(address)
        says(page, "#cards", "growing\\s+running[^@]*step 15 of 20")
    finally:
        shutil.rmtree(folder)


def test_a_run_that_is_deleted_is_said_to_be_and_the_app_goes_on(page, address, root):
    making.make_run(root / "gone", making.config_of(seed=3))
    os.utime(root / "gone" / "samples", (2e9, 2e9))
    visit(page, address, "latents", "gone")
    shutil.rmtree(root / "gone")
    press(page, "bound", "ArrowLeft")
    says(page, "#message", "there is no run 'gone'")
    visit(page, address, "latents", "plain")
    changes(page, "#picture img", lambda: press(page, "bound", "ArrowLeft"))
    assert not page.locator("#message").is_visible()


def test_a_damaged_checkpoint_is_said_to_be(page, address):
    page.goto(f"{address}latents?run=torn")
    says(page, "#message", "cannot be read")
    page.goto(f"{address}critic?run=torn")
    says(page, "#message", "cannot be read")
    visit(page, address, "training", "torn")  # its pictures are whole
    visit(page, address, "latents", "plain")


def test_a_run_whose_settings_are_damaged_has_its_pictures_still(page, address):
    visit(page, address, "training", "cut")
    says(page, "#about", r"damaged: .*config\.json is damaged")


STRANGE = (
    "![seen](http://192.0.2.1/x.png) <img src=http://192.0.2.1/y.png> **thick** _thin_"
    " `code` $$x$$ https://192.0.2.1/z &lt;"
)


def test_text_of_a_run_is_shown_as_it_is_and_nothing_is_fetched(page, address, root):
    """The page itself complains of a request to another host."""
    making.make_run(root / "strange", making.config_of(seed=4))
    config = root / "strange" / "config.json"
    contents = json.loads(config.read_text()) | {"warning": STRANGE}
    config.write_text(json.dumps(contents))
    try:
        for path in ("training", "latents", "critic"):
            visit(page, address, path, "strange")
            assert STRANGE in page.locator("#about").text_content(), path
            assert page.locator("#about :is(img, a, code, em)").count() == 0
        contents["flags"]["loss"] = f"{STRANGE}:LOSS"
        config.write_text(json.dumps(contents))
        page.goto(f"{address}latents?run=strange")
        says(page, "#message", "thick")
        assert STRANGE in page.locator("#message").text_content()
        visit(page, address, "")
        assert STRANGE in card(page, "strange").text_content()
    finally:
        shutil.rmtree(root / "strange")


def test_an_address_that_names_another_folder_shows_the_first_run(page, address):
    visit(page, address, "latents", "..%2Foutside")
    assert page.locator("#run input").input_value() != "../outside"


def ask(url):
    """Status and text of a request."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def test_where_there_is_no_run_yet_pages_say_how_to_train_one(page, tmp_path):
    from experiments.explorer import app

    (tmp_path / "runs").mkdir()
    blocks, address = app.start(tmp_path / "runs", tmp_path / "shown")
    try:
        for path in ("training", "latents", "critic", "study"):
            page.goto(f"{address}{path}")
            says(page, "#message", "python -m experiments.")
    finally:
        blocks.close()


@pytest.mark.parametrize("name", ["outside/secret.txt", "runs/plain/config.json"])
def test_no_file_is_served(address, root, name):
    path = root.parent / name
    for route in (
        f"gradio_api/file={path}",
        f"file={path}",
        f"gradio_api/stream/{path}",
    ):
        status, text = ask(f"{address}{route}")
        assert status >= 400
        assert path.read_text()[:12] not in text


def test_nothing_can_be_sent_to_be_kept(address):
    """No page takes a file, and Gradio's route for them is there all the same."""
    import httpx

    place = pathlib.Path(os.environ["GRADIO_TEMP_DIR"])
    before = {*place.rglob("*")}
    for size in (1, 5_000_000):
        sent = {"files": ("sent_by_somebody.bin", b"x" * size)}
        answer = httpx.post(f"{address}gradio_api/upload", files=sent, timeout=60)
        assert answer.status_code == 413, answer.text
    assert not any(p.stat().st_size for p in {*place.rglob("*.bin")} - before)


def test_a_handler_that_is_given_another_folder_answers_by_a_message(served):
    """Gradio refuses what is not in the list; this is what stands behind it."""
    blocks, asked = served[2], 0
    for event in blocks.fns.values():
        labels = [part.elem_id for part in event.inputs]
        if "run" not in labels:
            continue
        values = [part.value for part in event.inputs]
        values[labels.index("run")] = "../outside"
        assert event.outputs[-1].elem_id == "message"
        *_, message = event.fn(*values)
        assert "there is no run" in message["value"], event.name
        asked += 1
    assert asked >= 10


def test_the_program_serves_until_ctrl_c_and_leaves_no_picture(root, tmp_path):
    argv = ["experiments.explore", f"--runs={root}", "--port=0"]
    cache = tmp_path / "cache"
    process = Process(argv, small=False, GAN_JAX_CACHE_DIR=str(cache))
    wait_until(lambda: "(Ctrl-C ends it)" in process.said("stdout"), process)
    [address] = re.findall(r"is shown at (\S+) ", process.said("stdout"))
    status, text = ask(address)
    assert status == 200
    assert "gan_jax explorer" in text
    assert [*(cache / "explorer").iterdir()] != []
    process.send_signal(signal.SIGINT)
    status, _, stderr = process.end()
    assert status == 130, stderr
    assert [*(cache / "explorer").iterdir()] == []
