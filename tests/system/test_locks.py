"""Leases: one holder, a dead one's is taken over, who has lost it is told."""

import json
import subprocess
import sys
import time

import pytest

from gan_jax.errors import UserError
from gan_jax.run import run_folder
from gan_jax.system import locks, remote
from tests import memory_store
from tests.system.waiting import wait_until

LOCK = "bucket/study/.lock"
FAST = locks.Times(renew=0.02, term=1000.0)
ELSEWHERE = {
    "process": 1234,
    "host": "elsewhere",
    "since": "2026-01-01T00:00:00+00:00",
    "command": "study --workdir=s3://bucket/study",
    "machine": "another",
    "token": "theirs",
}


def lease(objects):
    return json.loads(objects[LOCK])


def refused(study, times=FAST):
    """What a second one is told."""
    with (
        pytest.raises(UserError, match="being trained in by") as found,
        run_folder.lock(study, times=times),
    ):
        pass
    assert "\n" not in str(found.value)
    return str(found.value)


def test_a_second_one_is_refused_by_the_name_of_the_first(study, objects):
    with run_folder.lock(study):
        who = lease(objects)
        said = refused(study)
        assert f"by process {who['process']} on {who['host']} since" in said
        assert "is free at" in said
    assert LOCK not in objects
    with run_folder.lock(study) as held:
        assert not held.lost


def test_a_store_that_knows_no_conditions_still_refuses_the_second(
    study, objects, monkeypatch
):
    def overwrite(path, data):
        objects[LOCK] = data
        return True

    monkeypatch.setattr(remote, "create", overwrite)
    with run_folder.lock(study):
        before = objects[LOCK]
        refused(study)
        assert objects[LOCK] == before


def test_of_two_that_begin_at_once_the_second_is_refused(study, objects, monkeypatch):
    """Both have seen that there is no lease; the store makes one of them."""
    with run_folder.lock(study):
        there, read = objects[LOCK], remote.read_version
        seen = [None]
        monkeypatch.setattr(
            remote, "read_version", lambda path: seen.pop() if seen else read(path)
        )
        refused(study)
        assert objects[LOCK] == there


def test_a_lease_is_renewed_and_given_back_whatever_happens(study, objects):
    def fail():
        with run_folder.lock(study, times=FAST):
            first = lease(objects)
            wait_until(lambda: lease(objects)["renewed"] > first["renewed"])
            assert lease(objects) | {"renewed": 0} == first | {"renewed": 0}
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert LOCK not in objects


def test_a_lease_that_ended_is_taken_over_and_that_is_said(study, objects):
    objects[LOCK] = json.dumps({**ELSEWHERE, "renewed": 0.0}).encode()
    said = []
    with run_folder.lock(study, times=FAST, say=said.append) as held:
        assert not held.lost
        assert lease(objects)["token"] != "theirs"
    assert said == [
        "taking over from process 1234 on elsewhere since 2026-01-01T00:00:00+00:00"
        " (study --workdir=s3://bucket/study), which has died"
    ]


def test_a_lease_that_has_not_ended_is_not_taken_over(study, objects):
    objects[LOCK] = json.dumps({**ELSEWHERE, "renewed": time.time()}).encode()
    before = objects[LOCK]
    assert "by process 1234 on elsewhere" in refused(study)
    assert objects[LOCK] == before


def test_a_clock_that_is_ahead_takes_nothing_from_who_lives(study):
    """By the second one's clock the lease ends at once; but it sees renewals."""
    with run_folder.lock(study, times=FAST) as held:
        refused(study, locks.Times(renew=0.1, term=0.0))
        assert not held.lost


@pytest.mark.skipif(locks._machine() is None, reason="Linux says what machine it is")
def test_a_process_of_this_machine_that_has_died_is_not_waited_for(study, objects):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here = {"machine": locks._machine(), "process": dead.pid, "renewed": time.time()}
    objects[LOCK] = json.dumps({**ELSEWHERE, **here}).encode()
    with run_folder.lock(study):
        assert lease(objects)["process"] != dead.pid


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"renewed": "never"}', '{"renewed": 1e99}', "\xff"]
)
def test_a_lease_that_nobody_can_read_is_to_be_deleted_by_hand(study, objects, text):
    objects[LOCK] = text.encode("latin-1")
    said = refused(study)
    assert "another process; if that has died, delete s3://bucket/study/.lock" in said


def test_who_has_lost_a_lease_is_told_and_leaves_it_to_the_other(study, objects):
    theirs = json.dumps({**ELSEWHERE, "renewed": time.time()}).encode()
    with run_folder.lock(study, times=FAST) as held:
        held.require()
        objects[LOCK] = theirs
        wait_until(lambda: held.lost)
        with pytest.raises(UserError, match="no longer this process's"):
            held.require()
    assert objects[LOCK] == theirs


def test_a_lease_that_was_deleted_is_lost(study, objects):
    with run_folder.lock(study, times=FAST) as held:
        memory_store.Store().rm(f"s3://{LOCK}")
        wait_until(lambda: held.lost)
    assert LOCK not in objects


def test_a_store_that_comes_back_in_time_costs_no_lease(study, objects, monkeypatch):
    with run_folder.lock(study, times=FAST) as held:
        with monkeypatch.context() as away:
            asked = []
            away.setattr(remote, "read_version", lambda path: asked.append(1) or 1 / 0)
            wait_until(lambda: len(asked) > 2)
        back = lease(objects)["renewed"]
        wait_until(lambda: lease(objects)["renewed"] > back)
        assert not held.lost


def test_a_store_that_stays_away_costs_it(study, monkeypatch):
    with run_folder.lock(study, times=locks.Times(renew=0.02, term=0.5)) as held:
        monkeypatch.setattr(remote, "read_version", lambda path: 1 / 0)
        wait_until(lambda: held.lost)
