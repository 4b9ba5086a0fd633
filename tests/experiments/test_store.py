"""Studies, files and leases in a store that speaks S3's language.

Needs the extra ``store``: ./launch.sh setup ray,store.
"""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from gan_jax.errors import UserError
from gan_jax.run import run_folder
from gan_jax.system import files, locks, remote
from tests.processes.running import ROOT, begin_study, wait_until

for _needed in ("s3fs", "moto", "flask_cors"):
    pytest.importorskip(_needed, reason="pip install 'gan_jax[store]'")
pytestmark = pytest.mark.store

QUICK = ("--quick", "--num_samples=100", "--loss=nonsaturating", "--steps=3")
QUICK += ("--sweep=batch_size:8,seed:0..1",)


@pytest.fixture(scope="module")
def address():
    """A server, and what finds it: in this process, and in those that it starts."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.processes.s3_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    found = server.stdout.readline().strip()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ENDPOINT_URL", found)
        patch.setenv("AWS_ACCESS_KEY_ID", "name")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        remote._system(remote.folder("s3://bucket")).mkdir("bucket")
        yield found
    server.communicate()


@pytest.fixture
def folder(address, request):
    """One that is not there yet."""
    return remote.folder(f"s3://bucket/{request.node.name}")


def python(code, *arguments):
    """Starts a process of this code."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


# Files

DIE = """
import os, sys
import s3fs
from gan_jax.system import files, remote
s3fs.core.calculate_chunksize = lambda *args, **how: 5 * 2**20  # the least there is
call = s3fs.S3FileSystem._call_s3
async def die(self, method, *args, **how):
    if method == sys.argv[2]:
        os._exit(7)
    return await call(self, method, *args, **how)
s3fs.S3FileSystem._call_s3 = die
with files.whole_file(remote.folder(sys.argv[1])) as file:
    file.write(bytes(12 * 2**20))
print("whole")
"""


@pytest.mark.parametrize("moment", ["upload_part", "complete_multipart_upload"])
def test_what_a_writer_that_dies_was_writing_is_not_there(folder, moment):
    path = folder / "wave.npz"
    died = python(DIE, path, moment)
    assert died.wait() == 7
    assert not path.exists()
    files.write_text(path, "old")
    died = python(DIE, path, moment)
    assert died.wait() == 7
    assert path.read_text() == "old"


def test_what_a_writer_that_lives_was_writing_is_whole(folder):
    path = folder / "wave.npz"
    lives = python(DIE, path, "never")
    assert lives.communicate()[0] == "whole\n"
    assert path.read_bytes() == bytes(12 * 2**20)


def test_a_reader_never_sees_half(folder):
    """Either text, or an error, whatever is being written meanwhile."""
    from s3fs.utils import FileExpired

    path = folder / "runs.jsonl"
    texts = [letter * 2**20 for letter in "ab"]
    files.write_text(path, texts[0])
    ended, wrong = threading.Event(), []

    def write():
        try:
            while not ended.is_set():
                for text in texts:
                    files.write_text(path, text)
        except BaseException as error:
            wrong.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = set()
        while seen != {*texts}:
            assert writer.is_alive(), wrong
            with contextlib.suppress(FileExpired):  # replaced after its head was read
                seen.add(path.read_text())
            assert seen <= {*texts}
    finally:
        ended.set()
        writer.join()
    assert wrong == []


def test_an_object_is_made_only_where_there_is_none(folder):
    path = folder / "a"
    assert remote.create(path, b"first")
    assert not remote.create(path, b"second")
    found = remote.read_version(path)
    assert found[0] == b"first"
    assert remote.replace(path, b"third", found[1])
    assert not remote.replace(path, b"fourth", found[1])
    assert path.read_bytes() == b"third"
    remote.remove(path)
    assert remote.read_version(path) is None
    assert not remote.replace(path, b"fifth", found[1])


@pytest.mark.parametrize("times", [1, 3])
def test_what_is_replaced_while_it_is_read_is_read_again(folder, monkeypatch, times):
    """As a lease is, whose holder renews it between a reader's two questions."""
    import s3fs

    path = folder / "a"
    files.write_text(path, "old")
    call, waiting = s3fs.S3FileSystem._call_s3, [f"new {n}" for n in range(times)]

    async def replaced_before(self, method, *args, **how):
        if method == "get_object" and waiting:
            where = {"Bucket": how["Bucket"], "Key": how["Key"]}
            await call(self, "put_object", Body=waiting.pop(0).encode(), **where)
        return await call(self, method, *args, **how)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", replaced_before)
    data, version = remote.read_version(path)
    assert waiting == []
    assert data == f"new {times - 1}".encode()
    assert remote.replace(path, b"last", version)


# The lease

HOLD = """
import sys, time
from gan_jax.run import run_folder
from gan_jax.system import locks, remote
if sys.argv[2] == "elsewhere":
    locks._machine = lambda: "another"
times = locks.Times(renew=0.2, term=2.0)
with run_folder.lock(remote.folder(sys.argv[1]), times=times) as held:
    print("held", flush=True)
    while not held.lost:
        time.sleep(0.01)
print("lost", flush=True)
"""
TIMES = locks.Times(renew=0.2, term=2.0)


@pytest.fixture
def hold(folder):
    """Starts processes that hold the folder."""
    started = []

    def start(where):
        started.append(python(HOLD, folder, where))
        assert started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def try_to_hold(folder, say=print):
    with run_folder.lock(folder, times=TIMES, say=say):
        pass


def test_the_second_is_refused_and_a_dead_one_is_followed_after_its_term(folder, hold):
    first = hold("elsewhere")
    for _ in range(3):
        with pytest.raises(UserError, match=f"trained in by process {first.pid} on"):
            try_to_hold(folder)
        time.sleep(1)
    first.kill()
    first.wait()
    with pytest.raises(UserError, match=f"by process {first.pid} on .* is free at"):
        try_to_hold(folder)
    time.sleep(TIMES.term)
    said = []
    try_to_hold(folder, said.append)
    assert said[0].startswith(f"taking over from process {first.pid} on")


def test_a_dead_one_of_the_same_machine_is_followed_at_once(folder, hold):
    first = hold("here")
    with pytest.raises(UserError, match=f"trained in by process {first.pid} on"):
        try_to_hold(folder)
    first.kill()
    first.wait()
    with run_folder.lock(folder):  # whose term would be minutes
        pass


def test_one_that_was_stopped_for_long_finds_that_it_has_lost(folder, hold):
    first = hold("elsewhere")
    first.send_signal(signal.SIGSTOP)
    time.sleep(TIMES.term + TIMES.renew)
    with run_folder.lock(folder, times=TIMES) as held:
        first.send_signal(signal.SIGCONT)
        assert first.stdout.readline() == "lost\n"
        assert first.wait() == 0
        time.sleep(2 * TIMES.renew)
        assert not held.lost


def test_of_many_that_take_over_the_same_lease_one_gets_it(folder):
    dead = {"process": 1, "host": "a", "since": "b", "command": "c", "renewed": 0.0}
    files.write_text(folder / run_folder.LOCK, json.dumps(dead))
    together, gone = threading.Barrier(8), threading.Event()
    got, refused, wrong = [], [], []

    def take():
        together.wait()
        try:
            with run_folder.lock(folder, times=TIMES, say=lambda line: None):
                got.append(1)
                gone.wait()
        except UserError:
            refused.append(1)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    while len(got) + sum(not thread.is_alive() for thread in threads) < 8:
        time.sleep(0.01)
    gone.set()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused), wrong) == (1, 7, [])


# Studies


@pytest.fixture(scope="module")
def begin(address, evaluation_cache):
    """Starts a study of small networks."""
    return functools.partial(begin_study, evaluation_cache)


def test_a_study_in_a_store_is_whole_and_goes_on(folder, begin):
    status, stdout, stderr = begin(folder, *QUICK).end()
    assert status == 0, stderr
    assert f"{folder}/results.json" in stdout
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("config.json", "runs.jsonl", "runs.csv", "results.json", "study.png"),
        "samples",
    }
    lines = (folder / "runs.jsonl").read_text()
    assert [json.loads(line)["seed"] for line in lines.splitlines()] == [0, 1]
    assert len(list((folder / "samples").iterdir())) == 2
    assert (folder / "study.png").read_bytes().startswith(b"\x89PNG")
    # More seeds: what is there is not trained again.
    status, stdout, stderr = begin(folder, *QUICK[:-1], f"{QUICK[-1][:-1]}2").end()
    assert status == 0, stderr
    assert "2 of them are done already" in stdout
    more = (folder / "runs.jsonl").read_text()
    assert more.startswith(lines)
    assert len(more.splitlines()) == 3
    # Another study is refused, and takes its place if told to.
    status, _, stderr = begin(folder, *QUICK, "--steps=4").end()
    assert status == 2
    assert "--steps=3 there and 4 now" in stderr
    assert (folder / "runs.jsonl").read_text() == more
    status, _, stderr = begin(folder, *QUICK, "--steps=4", "--overwrite").end()
    assert status == 0, stderr
    assert len((folder / "runs.jsonl").read_text().splitlines()) == 2
    assert len(list((folder / "samples").iterdir())) == 2


def test_a_wave_under_way_is_left_to_its_process_saved_and_goes_on(folder, begin):
    long = (*QUICK, "--steps=1000", "--checkpoint_every=50")

    def saved():
        try:
            return [path.name for path in (folder / "wave").iterdir()]
        except FileNotFoundError:
            return []

    process = begin(folder, *long)
    wait_until(saved, process)
    process.send_signal(signal.SIGSTOP)  # it is not to end before the second has begun
    line = last_line(begin(folder, *long))
    assert line.startswith(
        f"study: --workdir={folder} is being trained in by process {process.pid} on"
    )
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    status, _, stderr = process.end()
    assert status == 143, stderr
    assert len(saved()) == 1
    status, stdout, stderr = begin(folder, *long).end()
    assert status == 0, stderr
    assert "going on with a wave at step" in stdout
    assert saved() == []
    assert len((folder / "runs.jsonl").read_text().splitlines()) == 2


def last_line(process):
    status, _, stderr = process.end()
    assert status == 2, stderr
    [line] = [line for line in stderr.splitlines() if line.startswith("study: ")]
    assert "Traceback" not in stderr
    return line


def test_a_bucket_that_is_not_there_is_one_line(begin):
    line = last_line(begin("s3://nobodys/study", *QUICK))
    assert "cannot read s3://nobodys/study (The specified bucket does not" in line


def test_credentials_that_are_missing_or_wrong_are_one_line(folder, begin, address):
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": "/nowhere"}
    line = last_line(begin(folder, *QUICK, **nobody))
    assert "Unable to locate credentials" in line
    assert "aws configure" in line

    def check_who_asks(after):
        asked = urllib.request.Request(
            f"{address}/moto-api/reset-auth",
            data=str(after).encode(),
            headers={"Content-Type": "text/plain"},
        )
        urllib.request.urlopen(asked).close()

    files.write_text(folder / "config.json", "{}")
    check_who_asks(0)
    try:
        line = last_line(begin(folder, *QUICK))
    finally:
        check_who_asks(float("inf"))
    assert f"cannot read {folder} (" in line
    assert "Access Key" in line
    assert (folder / "config.json").read_text() == "{}"
