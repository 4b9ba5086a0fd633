"""launch/ray.sh: the nodes of a study over many machines, all of them on this one. Ray
is played by a script and a module that keep a file for each node; once by itself."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.processes.running import wait_until

RAY = pathlib.Path(__file__).parents[2] / "launch" / "ray.sh"
ADDRESSES = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]

# `ray start --block`: a file for as long as it runs. The head listens at its port.
COMMAND = """
import os, pathlib, signal, socket, sys
options = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
folder = pathlib.Path(os.environ["FOLDER"])
rank = options["--temp-dir"].rsplit("-", 1)[1]
with open(folder / "calls", "a") as file:
    print(rank, *sys.argv[1:], os.environ["RAY_AUTH_TOKEN"], file=file)
if (folder / f"broken-{rank}").exists():
    sys.exit("12:00 INFO file.py:1 -- no port")
if "--head" in sys.argv:
    server = socket.create_server(("", int(options["--port"])))
file = folder / f"node-{rank}"
file.write_text(str(os.getpid()))
signal.signal(signal.SIGTERM, lambda *_: (file.unlink(), os._exit(0)))
while True:
    signal.pause()
"""

# `import ray`
MODULE = """
import os, pathlib, signal
def init(address, **_):
    assert os.environ["RAY_AUTH_MODE"] == "token"
    signal.signal(signal.SIGTERM, lambda *_: os._exit(15))
def shutdown():
    pass
def nodes():
    there = pathlib.Path(os.environ["FOLDER"]).glob("node-*")
    return [dict(Alive=True, NodeManagerAddress=f"127.0.0.{int(p.name[5:]) + 1}",
                 NodeManagerHostname=p.name) for p in there]
"""

# The study: says how it was called, and stays until it is asked to end.
PROGRAM = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(os.environ["FOLDER"])
(folder / "given").write_text(" ".join([*sys.argv[1:], os.environ["JAX_PLATFORMS"]]))
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
(folder / "ready").touch()
while not asked and "STATUS" not in os.environ:
    time.sleep(0.02)
while (folder / "wait").exists():
    time.sleep(0.02)
(folder / "saved").write_text(str(len([*folder.glob("node-*")])))
sys.exit(int(os.environ.get("STATUS", "143")))
"""


# The same with Ray itself: asked to end, it still needs every node.
REAL = """
import os, pathlib, signal, sys, time, ray
folder = pathlib.Path(os.environ["FOLDER"])
ray.init(sys.argv[-1].partition("=")[2], log_to_driver=False)
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
def where():
    time.sleep(0.5)
    return ray.get_runtime_context().get_node_id(), os.environ["JAX_PLATFORMS"]
(folder / "ready").touch()
while not asked:
    time.sleep(0.1)
there = set()
while len(there) < 3:
    there |= {*ray.get([where.remote() for _ in range(3)])}
(folder / "saved").write_text(" ".join({platforms for _, platforms in there}))
sys.exit(143)
"""


class Cluster:
    """The nodes of one study, each a session of its own."""

    def __init__(self, folder):
        self.folder, self.processes = folder, {}
        self.job = next(n for n in range(3500, 5000) if free(20000 + 2 * n))
        self.port = 20000 + 2 * self.job

    def start(self, *ranks, **changes):
        for rank in ranks:
            environment = {
                **{k: v for k, v in os.environ.items() if not k.startswith("SLURM")},
                "FOLDER": str(self.folder),
                "PYTHONPATH": str(self.folder),
                "JAX_PLATFORMS": "cuda,cpu",
                "RAY_AUTH_TOKEN": "0123456789abcdef" * 2,
                "GAN_JAX_POLL_SECONDS": "0.1",
                "SKYPILOT_NODE_IPS": "\n".join(ADDRESSES),
                "SKYPILOT_NODE_RANK": str(rank),
                "SKYPILOT_INTERNAL_JOB_ID": str(self.job),
                **changes,
            }
            python = self.folder / "bin" / "python"
            self.processes[rank] = subprocess.Popen(
                ["bash", RAY, python, "-m", "study", "--loss=hinge"],
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )

    def said(self, rank):
        """What a node said until its end."""
        return self.processes[rank].communicate()[1]

    def kill(self, rank):
        """The machine is gone, and Ray notices."""
        os.killpg(self.processes[rank].pid, signal.SIGKILL)
        self.processes[rank].communicate()
        (self.folder / f"node-{rank}").unlink(missing_ok=True)

    def statuses(self):
        return [process.wait() for process in self.processes.values()]

    def calls(self):
        lines = (self.folder / "calls").read_text().splitlines()
        return sorted(line.split() for line in lines)

    def temporary(self, rank):
        return pathlib.Path(f"/tmp/gan_jax-{self.job}-{rank}")

    def left(self):
        """What lies about, once it is gone or nothing runs that could remove it."""
        temporary = [self.temporary(rank) for rank in self.processes]
        while True:
            running = any(runs(process.pid) for process in self.processes.values())
            found = [*self.folder.glob("node-*"), *(t for t in temporary if t.exists())]
            if not found or not running:
                return found
            time.sleep(0.02)


def free(port):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("", port))
        except OSError:
            return False
    return True


def runs(group):
    """Whether a process of this group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def cluster(tmp_path):
    """A folder with what the nodes need; nothing of theirs outlives the test."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "study.py").write_text(PROGRAM)
    (tmp_path / "ray.py").write_text(MODULE)
    (tmp_path / "start.py").write_text(COMMAND)
    names = " ".join(ADDRESSES)
    for name, text in {
        "python": f'exec {sys.executable} "$@"',
        "ray": f'exec {sys.executable} -S {tmp_path}/start.py "$@"',
        "scontrol": f'[[ "$*" == "show hostnames list" ]] && printf "%s\\n" {names}',
    }.items():
        script = tmp_path / "bin" / name
        script.write_text(f"#!/bin/bash\n{text}\n")
        script.chmod(0o755)
    found = Cluster(tmp_path)
    yield found
    for rank, process in found.processes.items():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        shutil.rmtree(found.temporary(rank), ignore_errors=True)


def ready(cluster):
    return (cluster.folder / "ready").exists


def test_the_first_node_runs_the_study_on_them_all(cluster):
    cluster.start(0, 1, 2, STATUS="0")
    assert cluster.statuses() == [0, 0, 0]
    address = f"127.0.0.1:{cluster.port}"
    given = (cluster.folder / "given").read_text()
    assert given == f"--loss=hinge --engine=ray --ray_address={address} cpu"
    assert (cluster.folder / "saved").read_text() == "3"
    head, *others = cluster.calls()
    port = address.partition(":")[2]
    assert head[1:4] == ["start", "--head", f"--port={port}"]
    assert [other[1:3] for other in others] == [["start", f"--address={address}"]] * 2
    for rank, call in enumerate((head, *others)):
        assert {"--block", "--disable-usage-stats"} < {*call}
        assert f"--temp-dir={cluster.temporary(rank)}" in call
        assert not any(word.startswith("--num-cpus") for word in call)
        assert call[-1] == "0123456789abcdef" * 2
    assert cluster.left() == []


def slurm(cluster, rank):
    """What a task of a job has instead of SkyPilot's variables."""
    return {
        "SKYPILOT_NODE_IPS": "",
        "SLURM_JOB_ID": str(cluster.job),
        "SLURM_JOB_NODELIST": "list",
        "SLURM_NODEID": str(rank),
        "SLURM_CPUS_PER_TASK": "16",
        "PATH": f"{cluster.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }


def test_slurm_says_who_is_who_and_how_many_cores_there_are(cluster):
    for rank in range(3):
        cluster.start(rank, STATUS="0", **slurm(cluster, rank))
    assert cluster.statuses() == [0, 0, 0]
    assert all("--num-cpus=16" in call for call in cluster.calls())
    assert f"--port={cluster.port}" in cluster.calls()[0]


def test_a_status_of_the_study_is_passed_on_and_ray_ends_everywhere(cluster):
    cluster.start(0, 1, 2, STATUS="7")
    assert cluster.statuses() == [7, 0, 0]
    assert cluster.left() == []


def test_a_signal_reaches_the_study_and_no_node_goes_before_it_has_saved(cluster):
    (cluster.folder / "wait").touch()
    cluster.start(0, 1, 2)
    wait_until(ready(cluster), cluster.processes[0])
    for process in cluster.processes.values():  # as SLURM does: every task
        process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert [p.poll() for p in cluster.processes.values()] == [None] * 3
    (cluster.folder / "wait").unlink()
    assert cluster.statuses() == [143, 0, 0]
    assert (cluster.folder / "saved").read_text() == "3"
    assert cluster.left() == []


def test_a_signal_while_the_nodes_come_ends_it_all(cluster):
    cluster.start(0, 1)
    first = cluster.processes[0]
    wait_until(lambda: len([*cluster.folder.glob("node-*")]) == 2, first)
    wait_until(lambda: "to watch" in first.stderr.readline(), first)
    time.sleep(1)
    cluster.processes[0].terminate()
    assert cluster.processes[0].wait() == -signal.SIGTERM  # a shell says 143
    assert cluster.processes[1].wait() == 0
    assert cluster.left() == []


def test_a_node_that_does_not_come_is_named(cluster):
    cluster.start(0, 1, GAN_JAX_NODES_SECONDS="3")
    assert cluster.statuses() == [1, 0]
    last = cluster.said(0).splitlines()[-1]
    assert last == "ray.sh: after 3 s 2 of 3 nodes are there, and not 127.0.0.3"
    assert not (cluster.folder / "given").exists()
    assert cluster.left() == []


def test_a_head_that_does_not_start_and_one_that_is_nowhere_are_told(cluster):
    (cluster.folder / "broken-0").touch()
    cluster.start(0, 1, GAN_JAX_NODES_SECONDS="1")
    assert cluster.statuses() == [1, 0]
    assert cluster.said(0).endswith("Ray's head ended: no port\n")
    assert f"no Ray at 127.0.0.1:{cluster.port} within 1 s" in cluster.said(1)


def test_nodes_end_when_the_study_is_killed(cluster):
    cluster.start(0, 1, 2)
    wait_until(ready(cluster), cluster.processes[0])
    cluster.processes[0].kill()  # the study alone: it has taken the script's place
    assert cluster.statuses() == [-signal.SIGKILL, 0, 0]
    assert cluster.left() == []


def test_ray_that_ends_on_a_node_is_started_again(cluster):
    cluster.start(0, 1, 2)
    wait_until(ready(cluster), cluster.processes[0])
    os.kill(int((cluster.folder / "node-1").read_text()), signal.SIGTERM)
    second = cluster.processes[1]
    wait_until(lambda: sum(call[0] == "1" for call in cluster.calls()) == 2, second)
    wait_until((cluster.folder / "node-1").exists, second)
    cluster.processes[0].terminate()
    assert cluster.statuses() == [143, 0, 0]
    assert "Ray ended, and is started again" in cluster.said(1)


@pytest.mark.parametrize(("engine", "status"), [("sky", 1), ("slurm", 0)])
def test_skypilot_is_not_left_waiting_for_a_node_that_is_gone(cluster, engine, status):
    (cluster.folder / "wait").touch()
    for rank in range(3):
        where = slurm(cluster, rank) if engine == "slurm" else {}
        cluster.start(rank, STATUS="0", **where)
    wait_until(ready(cluster), cluster.processes[0])
    cluster.kill(2)
    (cluster.folder / "wait").unlink()
    assert cluster.processes[0].wait() == status
    said = "at the end 2 of 3 nodes are there, and not 127.0.0.3"
    assert (said in cluster.said(0)) == bool(status)


@pytest.mark.ray
def test_ray_itself_is_asked_to_end_saves_and_is_gone_everywhere(cluster):
    pytest.importorskip("ray", reason="no Ray: ./launch.sh setup ray")
    (cluster.folder / "ray.py").unlink()
    (cluster.folder / "study.py").write_text(REAL)
    script = f'#!/bin/bash\nexec {sys.executable} -m ray.scripts.scripts "$@"\n'
    (cluster.folder / "bin" / "ray").write_text(script)
    same = {"SKYPILOT_NODE_IPS": "\n".join(ADDRESSES[:1] * 3)}
    cluster.start(0, 1, 2, **same)
    wait_until(ready(cluster), cluster.processes[0])
    for process in cluster.processes.values():
        process.send_signal(signal.SIGTERM)
    assert cluster.statuses() == [143, 0, 0]
    assert (cluster.folder / "saved").read_text() == "cuda,cpu"
    assert cluster.left() == []
    while not free(cluster.port):
        time.sleep(0.02)
