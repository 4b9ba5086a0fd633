"""A study's folder is known again, and never taken for another."""

from gan_jax.study import study_folder
from tests.study.test_driver import IMAGES


def begin(folder, overwrite=False):
    folder.mkdir(exist_ok=True)
    study_folder.begin(folder, {"steps": 9}, IMAGES, "cpu", overwrite)
    return study_folder.owner(folder)


def test_a_folder_is_the_same_when_it_is_begun_again_or_moved(tmp_path):
    first = begin(tmp_path / "one")
    assert first["workdir"] == str(tmp_path / "one")
    assert begin(tmp_path / "one") == first
    (tmp_path / "one").rename(tmp_path / "two")
    moved = begin(tmp_path / "two", overwrite=True)
    assert moved == {"id": first["id"], "workdir": str(tmp_path / "two")}
    assert begin(tmp_path / "one")["id"] != first["id"]


def test_a_folder_of_an_earlier_version_gets_its_name(tmp_path):
    (tmp_path / "config.json").write_text('{"study": {"steps": 9}}')
    assert begin(tmp_path)["id"]
