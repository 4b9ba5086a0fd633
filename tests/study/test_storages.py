"""Where Optuna records trials: whose they are, and what is said where it fails."""

import pathlib

import optuna
import pytest

from gan_jax.errors import UserError
from gan_jax.study import search, storages
from tests.study.test_driver import Engine
from tests.study.test_search import LR, drive, search_of, trials_in


def test_a_file_may_be_named_from_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    storages.check("~/a.journal")
    assert (tmp_path / "a.journal").exists()


@pytest.mark.parametrize(
    ("storage", "inside"),
    [
        ("study/a.journal", True),
        ("{0}/study/a.journal", True),
        ("sqlite:///study/a.db", True),
        ("sqlite+pysqlite:///{0}/other/../study/a.db?timeout=9", True),
        ("study.db", False),
        ("sqlite:////studies/study/a.db", False),
        ("mysql://host/study/a", False),
    ],
)
def test_a_file_in_the_folder_is_known_as_one(storage, inside, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (pathlib.Path("study"), tmp_path / "study"):
        assert storages.is_inside(storage.format(tmp_path), folder) == inside


def test_a_storage_that_cannot_be_opened_is_one_line(tmp_path):
    (tmp_path / "optuna.journal").mkdir()
    with pytest.raises(UserError, match=r"Optuna cannot open .*--storage"):
        search_of(tmp_path, LR)


def test_a_storage_of_a_study_in_another_folder_is_refused(tmp_path):
    """What is under way there would be trained twice."""
    first = search_of(tmp_path, LR)
    [(number, _)] = first.ask()
    message = r"is of --workdir=runs/mine: go on there, .*--storage, or"
    with pytest.raises(UserError, match=message):
        search_of(tmp_path, LR, owner="other")
    assert [trial.state.name for trial in trials_in(tmp_path)] == ["RUNNING"]
    assert search_of(tmp_path, LR).ask()[0][0] == number


def test_of_two_that_open_a_storage_at_once_one_is_refused(tmp_path, monkeypatch):
    first = search_of(tmp_path, LR)
    with monkeypatch.context() as patch:
        patch.setattr(search.Search, "_require_own", lambda self: None)
        search_of(tmp_path, LR, owner="other")
    with pytest.raises(UserError, match="is of --workdir=runs/other"):
        first.ask()


def test_a_storage_that_nobody_has_signed_is_taken(tmp_path):
    """As those of earlier versions."""
    search_of(tmp_path, LR).ask()
    journal = optuna.storages.journal.JournalFileBackend(
        str(tmp_path / "optuna.journal")
    )
    storage = optuna.storages.JournalStorage(journal)
    optuna.load_study(study_name="nonsaturating", storage=storage).set_user_attr(
        search.OWNER, None
    )
    assert search_of(tmp_path, LR, owner="other").ask()[0][0] == 0


@pytest.mark.parametrize("what", ["ask", "tell", "runs"])
def test_a_storage_that_fails_on_the_way_is_one_line(what, tmp_path, monkeypatch):
    mine = search_of(tmp_path, LR)
    [(number, runs)] = mine.ask()
    course = drive(tmp_path, Engine())
    assert course.train(runs)
    rows = [course.rows[course.key(run)] for run in runs]

    def locked(*args, **how):
        raise optuna.exceptions.StorageInternalError("database is\nlocked")

    for name in ("ask", "tell", "get_trials"):
        monkeypatch.setattr(mine._study, name, locked)
    arguments = {"ask": (), "tell": (number, rows), "runs": ()}
    message = r"Optuna cannot go on with .*optuna.journal \(database is locked\): "
    with pytest.raises(UserError, match=message):
        getattr(mine, what)(*arguments[what])
