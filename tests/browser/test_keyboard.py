"""Without a mouse, in two tabs, and on a port that is taken."""

import socket

import pytest

from gan_jax.errors import UserError
from tests.browser.acting import changes, says, visit

# Of what has the focus, the nearest part of the page that has a name of its own.
FOCUSED = """() => {
    const named = document.activeElement?.closest('[id]:not([id^="component-"])');
    return named?.id || '';
}"""


def tabbed(page, most=80):
    """The named parts that the Tab key goes through, in its order."""
    seen = []
    for _ in range(most):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUSED))
    return list(dict.fromkeys(seen))


CONTROLS = {
    "training": ["run", "step", "others", "curve", "whole"],
    "latents": ["run", "kind", "seed", "next", "count", "bound", "d1", "d6", "npz"],
    "critic": ["run", "which", "order", "place"],
    "two_dimensions": ["play", "one", "reset", "data", "loss", "penalty", "rate"],
    "study": ["study", "loss", "alive", "number"],
}


@pytest.mark.parametrize("path", CONTROLS)
def test_every_control_is_reached_by_the_tab_key(page, address, path):
    visit(page, address, path)
    assert {*CONTROLS[path]} <= {*tabbed(page)}


def test_a_gan_is_trained_by_the_keyboard(page, address):
    visit(page, address, "two_dimensions")
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED) == "one":
            break
    changes(page, "#plane img", lambda: page.keyboard.press("Enter"))
    says(page, "#about", r"Step 1\.")


def test_two_tabs_train_gans_of_their_own(page, address):
    visit(page, address, "two_dimensions")
    other = page.context.new_page()
    visit(other, address, "two_dimensions")
    changes(page, "#plane img", lambda: page.click("#one"))
    says(page, "#about", r"Step 1\.")
    assert "Step 0." in other.inner_text("#about")
    changes(other, "#plane img", lambda: other.click("#one"))
    says(page, "#about", r"Step 1\.")
    other.close()


def test_a_port_that_is_taken_is_one_line(root, tmp_path):
    from experiments.explorer import app

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"--port={port} .*: choose another"):
            app.start(root, tmp_path, port=port)
