"""What all programs do with their flags."""

import pathlib

from absl import flags

from experiments.common import cli


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
