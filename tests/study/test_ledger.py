"""Lines that are added, torn, repeated; and the table that follows them."""

import csv
import json

import pytest
from etils import epath

from gan_jax.errors import UserError
from gan_jax.study import ledger
from tests.study import made_up

AXES = "generator_lr:1e-4..1e-2:log,seed:0..{}"


def rows_of(count):
    return made_up.study(AXES.format(count - 1))[2]


def lines(folder):
    return [json.loads(line) for line in (folder / ledger.LINES).open()]


def table(folder):
    with (folder / ledger.TABLE).open(newline="") as file:
        return list(csv.DictReader(file))


def test_lines_are_added_and_read_in_order(tmp_path):
    rows = rows_of(5)
    ledger.append(tmp_path, rows[:2])
    before = (tmp_path / ledger.LINES).read_bytes()
    ledger.append(tmp_path, rows[2:])
    assert (tmp_path / ledger.LINES).read_bytes().startswith(before)
    assert lines(tmp_path) == rows
    found = ledger.read(tmp_path)
    assert list(found.values()) == rows
    assert [*found] == [json.dumps(row["flags"], sort_keys=True) for row in rows]


def test_of_a_gan_with_two_lines_the_last_is_read(tmp_path):
    first, second = rows_of(2)
    ledger.append(tmp_path, [first | {"steps": 100}, second])
    ledger.append(tmp_path, [first])
    assert len(lines(tmp_path)) == 3
    assert list(ledger.read(tmp_path).values()) == [first, second]
    ledger.write(tmp_path, list(ledger.read(tmp_path).values()))
    assert lines(tmp_path) == [first, second]


@pytest.mark.parametrize("kept", [1, 200, 100_000])
def test_a_torn_last_line_is_not_read_and_is_cut_off(tmp_path, kept):
    rows = rows_of(3)
    rows[1]["swept"]["note"] = "x" * 200_000  # longer than what is read at once
    ledger.append(tmp_path, rows[:1])
    whole = (tmp_path / ledger.LINES).read_bytes()
    with (tmp_path / ledger.LINES).open("ab") as file:
        file.write(json.dumps(rows[1]).encode()[:kept])
    assert list(ledger.read(tmp_path).values()) == rows[:1]
    ledger.append(tmp_path, rows[2:])
    assert (tmp_path / ledger.LINES).read_bytes().startswith(whole)
    assert lines(tmp_path) == [rows[0], rows[2]]


def test_a_file_of_one_torn_line_begins_anew(tmp_path):
    (tmp_path / ledger.LINES).write_bytes(b'{"loss": "hi')
    assert ledger.read(tmp_path) == {}
    ledger.append(tmp_path, rows_of(1))
    assert lines(tmp_path) == rows_of(1)


@pytest.mark.parametrize(
    "bad",
    [
        b'{"loss": \n',
        b"\n",
        b'{"loss": "hinge"}\n',
        b"[]\n",
        b"\xff\n",
        json.dumps(rows_of(1)[0] | {"flags": {}}).encode() + b"\n",
        json.dumps(rows_of(1)[0] | {"steps": None}).encode() + b"\n",
        json.dumps(rows_of(1)[0] | {"fcd": "12.5"}).encode() + b"\n",
        json.dumps(rows_of(1)[0] | {"seed": None}).encode() + b"\n",
    ],
)
def test_any_other_damage_is_an_error(tmp_path, bad):
    ledger.append(tmp_path, rows_of(2))
    path = tmp_path / ledger.LINES
    path.write_bytes(bad + path.read_bytes())
    with pytest.raises(UserError, match=r"runs\.jsonl is damaged"):
        ledger.read(tmp_path)


def test_the_table_follows_and_is_written_seldom(tmp_path, monkeypatch):
    written, write = [], ledger._write_table

    def count(folder, rows):
        written.append(len(rows))
        write(folder, rows)

    monkeypatch.setattr(ledger, "_write_table", count)
    rows = rows_of(1000)
    for i, row in enumerate(rows):
        ledger.append(tmp_path, [row])
        if i % 25 == 0:  # 1 / 1.1, and lines differ
            assert len(table(tmp_path)) >= 0.88 * (i + 1) - 1
    assert sum(written) < 14 * len(
        rows
    )  # 11 by the geometric series, and 1,000,000 / 2
    ledger.write(tmp_path, rows)
    assert [float(row["fcd"] or "nan") for row in table(tmp_path)] == pytest.approx(
        [float("nan") if row["fcd"] is None else row["fcd"] for row in rows],
        nan_ok=True,
    )


def test_the_table_says_which_were_stopped(tmp_path):
    first, second = rows_of(2)
    ledger.append(tmp_path, [first | {"steps": 100}, second])
    assert [row["stopped"] for row in table(tmp_path)] == ["True", "False"]
    assert table(tmp_path)[0]["steps"] == "100"


def test_where_files_cannot_grow_they_are_written_whole(tmp_path):
    folder = epath.Path(tmp_path)
    rows = rows_of(4)
    ledger.append(folder, rows[:2])
    with (tmp_path / ledger.LINES).open("ab") as file:
        file.write(b'{"torn')
    ledger.append(folder, rows[2:])
    assert b"torn" not in (tmp_path / ledger.LINES).read_bytes()
    assert list(ledger.read(folder).values()) == rows
    assert len(table(tmp_path)) == 4


def test_a_disk_that_takes_no_line_is_said(tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*runs\.jsonl"):
        ledger.append(tmp_path / "missing", rows_of(1))
