"""What all programs do with their flags."""

import pathlib

import pytest
from absl import flags

from experiments.common import cli
from gan_jax.errors import UserError


def test_files_may_be_named_from_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    values = flags.FlagValues()
    output = flags.DEFINE_string("output", "~/a.json", "", flag_values=values)
    nothing = flags.DEFINE_string("markdown", None, "", flag_values=values)
    values.mark_as_parsed()
    for flag in (output, nothing):
        cli.require_writable(flag)
        cli.write(flag, "{}\n")
    assert [path.name for path in pathlib.Path(tmp_path).iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "{}\n"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("{}", "is a folder"),
        ("/dev/null", "is a device or a pipe"),
        ("{}/no/a.onnx", "--output: there is no folder {}/no: make it first"),
    ],
)
def test_what_is_no_file_is_not_replaced_by_one(value, said, tmp_path):
    values = flags.FlagValues()
    text = value.format(tmp_path)
    output = flags.DEFINE_string("output", text, "", flag_values=values)
    values.mark_as_parsed()
    with pytest.raises(UserError, match=said.format(tmp_path)):
        cli.require_writable(output)


def test_a_link_stays_a_link(tmp_path):
    link, target = tmp_path / "link.json", tmp_path / "target.json"
    link.symlink_to(target)
    values = flags.FlagValues()
    output = flags.DEFINE_string("output", str(link), "", flag_values=values)
    values.mark_as_parsed()
    cli.require_writable(output)
    cli.write(output, "{}")
    assert link.is_symlink()
    assert target.read_text() == "{}"
