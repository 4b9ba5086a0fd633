"""The explorer where it cannot start, without a browser."""

import contextlib
import html
import inspect
import json
import os
import pathlib
import signal
import socket
import time
import types

import numpy as np
import pytest

from gan_jax.errors import UserError
from gan_jax.explore import latents
from tests.explore import making
from tests.processes.running import Process, wait_until

# Gradio as if it were not installed, whether it is or not.
WITHOUT = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "gradio" else find(name, *a)
sys.modules["gradio"] = None
import runpy
sys.argv = ["explore", "--runs=" + sys.argv[1]]
runpy.run_module("experiments.explore", run_name="__main__")
"""


def test_without_gradio_it_is_one_line_that_says_what_to_install(tmp_path):
    code = ["tests.processes.run_code", WITHOUT, tmp_path]
    status, stdout, stderr = Process(code, small=False).end()
    assert (status, stdout) == (2, ""), stderr
    assert stderr == "explore: it needs Gradio: pip install 'gan_jax[app]'\n"


def own_code(run):
    contents = json.loads((run / "config.json").read_text())
    contents["flags"]["loss"] = "elsewhere.py:LOSS"
    (run / "config.json").write_text(json.dumps(contents))


def damaged(run):
    for path in (run / "checkpoints").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:10])


@pytest.mark.parametrize(
    ("harm", "message"), [(own_code, "of one's own"), (damaged, "cannot be read")]
)
def test_where_the_first_choice_cannot_be_shown_others_can_be_chosen(
    tmp_path, monkeypatch, harm, message
):
    pytest.importorskip("gradio")
    from experiments.explorer import app

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    root = tmp_path / "runs"
    for name in ("good", "newest"):
        making.make_run(root / name)
    harm(root / "newest")
    os.utime(root / "newest" / "samples", (2e9, 2e9))
    (root / "a_study" / "wave").mkdir(parents=True)  # that has just begun
    (root / "study").mkdir()
    (root / "study" / "runs.jsonl").touch()
    opened = {}
    for event in app.build(root).fns.values():
        if event.name == "first" and event.outputs[-1].elem_id == "message":
            request = types.SimpleNamespace(query_params={})
            values = [part.value for part in event.inputs]
            asks = "request" in inspect.signature(event.fn).parameters
            found = event.fn(*([request] if asks else []), *values)
            assert len(found) == len(event.outputs)
            page = inspect.getmodule(inspect.unwrap(event.fn)).__name__
            opened[page.rpartition(".")[2]] = found[0], found[-1]
    for name in ("latents", "critic"):
        picker, said = opened[name]
        assert picker["choices"] == ["newest", "good"]
        assert picker["value"] == "newest"
        assert message in html.unescape(said["value"])
    picker, said = opened["study"]
    assert (picker["choices"], picker["value"]) == (["a_study", "study"], "a_study")
    assert "no GAN of" in said["value"]


@pytest.mark.parametrize(
    "name", ["x" * 200 + "/" + "y" * 200, "/".join(["ж" * 120] * 2)]
)
def test_what_is_downloaded_of_a_long_name_has_a_short_one(tmp_path, monkeypatch, name):
    pytest.importorskip("gradio")
    from experiments.explorer import latents as page

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    images = np.zeros((4, 28, 28, 1), np.uint8)
    drawn = latents.Drawn(images, None, np.zeros((4, 8), np.float32))
    names = {
        pathlib.Path(path).stem
        for of in (name, f"{name}2")
        for path in page._write(drawn, 2, of)
    }
    assert len(names) == 2  # of each run its own
    assert all(len(os.fsencode(name)) < 200 for name in names)


def explore(tmp_path, *more, **environment):
    argv = ["experiments.explore", f"--runs={tmp_path}", "--port=0", *more]
    cache = {"GAN_JAX_CACHE_DIR": str(tmp_path / "cache")}
    return Process(argv, small=False, cwd=tmp_path, **cache, **environment)


def is_up(process):
    return "(Ctrl-C ends it)" in process.said("stdout")


def test_it_asks_its_own_address_without_a_proxy(tmp_path):
    pytest.importorskip("gradio")
    with socket.socket() as nobody:  # a port where nobody listens
        nobody.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        names = ("HTTP_PROXY", "http_proxy")
        process = explore(tmp_path, **dict.fromkeys(names, proxy), no_proxy="x")
        wait_until(lambda: is_up(process), process)
        process.send_signal(signal.SIGINT)
        assert process.end()[0] == 130


def test_a_proxy_that_is_none_is_one_line(tmp_path):
    pytest.importorskip("gradio")
    status, _, stderr = explore(tmp_path, HTTP_PROXY="none", http_proxy="no://x").end()
    assert status == 2
    assert len(stderr.splitlines()) == 1
    assert stderr.startswith("explore: Gradio cannot be loaded (")


def test_an_address_that_does_not_answer_is_one_line(tmp_path, monkeypatch):
    pytest.importorskip("gradio")
    from gradio import networking

    from experiments.explorer import app

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(networking, "url_ok", lambda url: False)
    with pytest.raises(UserError, match=r"Gradio cannot start .*--host=127\.0"):
        app.start(tmp_path, tmp_path)


TUNNEL = """#!/bin/sh
trap 'echo ended > {said}; exit' TERM
trap 'echo forgotten > {said}; exit' WINCH  # heard after TERM
echo $$ > {said}
echo 'start proxy success: http://192.0.2.1'
while :; do sleep 0.1; done
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_public_address_ends_with_the_program(tmp_path, number):
    pytest.importorskip("gradio")
    from gradio import tunneling

    program = tmp_path / "home" / "gradio" / "frpc" / tunneling.BINARY_FILENAME
    program.parent.mkdir(parents=True)
    said = tmp_path / "said"
    program.write_text(TUNNEL.format(said=said))
    program.chmod(0o700)
    process = explore(
        tmp_path,
        "--share",
        HF_HOME=str(tmp_path / "home"),
        GRADIO_SHARE_SERVER_ADDRESS="192.0.2.1:1",
    )
    wait_until(lambda: is_up(process), process)
    assert "shown at https://192.0.2.1" in process.said("stdout")
    tunnel = int(said.read_text())
    process.send_signal(number)
    assert process.end()[0] == 128 + number
    with contextlib.suppress(OSError):
        os.kill(tunnel, signal.SIGWINCH)
    while said.read_text() not in ("ended\n", "forgotten\n"):
        time.sleep(0.01)
    assert said.read_text() == "ended\n"
