"""The explorer over a folder of runs in every state, in a real Chromium.

Skipped where Gradio, Playwright or Chromium is missing.
"""

import json
import os
import shutil
import time

import pytest

from tests.explore import making

# Gradio aborts its own stream of events when a page is left (`Client.close`).
# Where the stream is still being read at that moment, this is printed.
LEFT = "AbortError: signal is aborted without reason"

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


def missing():
    """What these tests need and is not here; None where all of it is."""
    for name in ("gradio", "playwright", "pytest_playwright"):
        try:
            __import__(name)
        except ImportError:
            return f"{name} is not installed: pip install 'gan_jax[browser]'"
    return None if CHROMIUM else "there is no chromium: apt-get install chromium"


def pytest_collection_modifyitems(items):
    here = [item for item in items if "tests/browser/" in item.path.as_posix()]
    why = missing() if here else None
    for item in here:
        item.add_marker(pytest.mark.browser)
        if why:
            item.add_marker(pytest.mark.skip(reason=why))


if missing():

    @pytest.fixture
    def page():
        """Of pytest-playwright, where it is installed."""

else:

    @pytest.fixture(scope="session")
    def browser_type_launch_args(browser_type_launch_args):
        """The system's Chromium, not one that Playwright would download."""
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        return browser_type_launch_args | {
            "executable_path": CHROMIUM,
            "args": arguments,
        }

    @pytest.fixture
    def page(page, address):
        """A page that complains of nothing and asks nobody else."""
        wrong = []

        def complain(text):
            if not text.startswith(LEFT):
                wrong.append(text)

        page.on(
            "console",
            lambda said: complain(said.text) if said.type == "error" else None,
        )
        page.on("pageerror", lambda error: complain(str(error)))

        host = address.rpartition(":")[0]  # on any port

        def request(asked):
            if not asked.url.startswith((f"{host}:", "data:", "blob:")):
                wrong.append(f"asks {asked.url}")

        page.on("request", request)
        page.set_default_timeout(30_000)
        yield page
        assert wrong == []


def make_study(folder):
    """A study of four GANs, one of which has collapsed."""
    from experiments.common import study_report
    from gan_jax import plots
    from gan_jax.study import ledger

    rows = [
        {
            "loss": loss,
            "swept": {"generator_lr": rate},
            "seed": seed,
            "steps": 20,
            "seconds": 1.0,
            "fcd": 100.0 - 10 * i,
            "fcd_train": 100.0 - 10 * i,
            "classes": 10,
            "variety": 0.5,
            "collapsed": i == 0,
            "flags": {"loss": loss, "seed": seed, "steps": 20},
        }
        for i, (loss, rate, seed) in enumerate(
            [("hinge", 1e-3, 0), ("hinge", 1e-2, 1), ("kl", 1e-3, 0), ("kl", 1e-2, 1)]
        )
    ]
    (folder / "samples").mkdir(parents=True)
    ledger.write(folder, rows)
    study = {"recipe": "tuned", "dataset": "garments", "conditional": False}
    flags = {"recipe": "tuned", "dataset": "garments", "conditional": None}
    config = json.dumps({"study": study, "flags": flags})
    (folder / "config.json").write_text(config)
    for i, row in enumerate(rows):
        path = folder / "samples" / f"{study_report.file_name(row)}.png"
        plots.save_grid(path, making.real(100) // (i + 1))
    plots.save_grid(folder / "study.png", making.real(10))


def make_large_study(folder):
    """A study of ten thousand GANs of two losses, most of which were stopped."""
    from gan_jax.study import ledger
    from tests.study import made_up

    axes = "generator_lr:1e-4..1e-2:log,seed:0..4999"
    folder.mkdir()
    ledger.write(folder, made_up.study(axes, ("hinge", "kl"), halved=True)[2])


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """Runs in every state, and two studies."""
    root = tmp_path_factory.mktemp("explorer") / "runs"
    root.mkdir()
    outside = root.parent / "outside"
    making.make_run(outside)
    (outside / "secret.txt").write_text("nobody reads this")
    making.make_run(root / "plain")
    making.make_run(root / "labelled", making.config_of(conditional=True))
    making.make_run(root / "penalised", making.config_of("wasserstein_gp", seed=1))
    for name in ("cut", "half", "other"):
        making.make_run(root / name, checkpoint=name != "half")
    config = root / "cut" / "config.json"
    config.write_bytes(config.read_bytes()[:40])
    contents = json.loads((root / "other" / "config.json").read_text())
    contents["versions"]["gan_jax"] = "9.9"
    contents["flags"]["a_new_one"] = 1
    (root / "other" / "config.json").write_text(json.dumps(contents))
    making.make_run(root / "torn", making.config_of(seed=2))
    for path in (root / "torn" / "checkpoints").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:10])
    for path in (root / "torn").iterdir():  # not what pages show first
        os.utime(path, (1e9, 1e9))
    (root / "link").symlink_to(outside)
    make_study(root / "study")
    make_large_study(root / "thousands")
    return root


@pytest.fixture(scope="session")
def served(root, tmp_path_factory):
    """Address of the explorer, the seconds until it was up, and Gradio's app."""
    from experiments.explorer import app

    begun = time.perf_counter()
    blocks, address = app.start(root, tmp_path_factory.mktemp("shown"))
    yield address, time.perf_counter() - begun, blocks
    blocks.close()


@pytest.fixture(scope="session")
def address(served):
    return served[0]
