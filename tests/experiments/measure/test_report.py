"""Tables and figure show what was measured and only what was varied."""

import pytest

from experiments.measure.peers import figure, report
from experiments.measure.peers.turns import spread


def program(ms, *, devices=1, gans=1, alone=10.0, **more):
    return {
        "platform": "cpu",
        "device": "cpu",
        "threads": 2,
        "matmul_precision": "default",
        "num_devices": devices,
        "gans": gans,
        "start_seconds": {"import": 1.0, "first step": 2.0, "total": 3.0},
        "ms_a_step": spread([ms - 1, ms, ms + 1]),
        "epoch_seconds": 0.937 * ms,
        "images_per_second": 64e3 * gans / ms,
        "peak_memory_bytes": 10**9,
        "peak_device_memory_bytes": None,
        "roofline_share": spread([0.25]),
        "gan_jax_ratio": spread([alone * gans / ms]),
        "over_gan_jax": spread([ms / alone / gans]),
        **more,
    }


def result(programs, batch=64, precision="float32", unavailable=()):
    return {
        "loss": "hinge",
        "batch_size": batch,
        "precision": precision,
        "machine": {
            "work": {"flops": 6.4e9, "bytes": 79e6},
            "rates": {"flops": spread([4e14]), "bytes": spread([4e12])},
            "flops_ms": spread([0.016]),
            "bytes_ms": spread([0.02]),
            "floor_ms": spread([0.02]),
            "product_error": 3e-4,
        },
        "programs": programs,
        "unavailable": dict(unavailable),
    }


def document(*results):
    hardware = {"processor": "abacus", "cores": 2, "memory_gb": 1, "platform": "cpu"}
    return {
        "command": "python -m experiments.measure.benchmark",
        "date": "2026-01-01",
        "hardware": hardware,
        "versions": {"jax": "0.10.2", "torch": None},
        "results": results,
    }


DEVICES = {
    "gan_jax": program(10.0),
    "gan_jax_4_devices": program(14.0, devices=4, overhead_ms=spread([4.0])),
}
GANS = {"gan_jax": program(10.0), "gan_jax_8_gans": program(60.0, gans=8)}
PEERS = {"gan_jax": program(10.0), "eager": program(40.0)}


def headers(*results):
    return [header for header, _ in report.all_tables(document(*results))]


def test_tables_are_as_wide_as_their_headers():
    everything = document(result(DEVICES | GANS | PEERS))
    tables = report.all_tables(everything)
    assert len(tables) == 5
    for header, rows in tables:
        assert {len(row) for row in rows} == {len(header)}


def test_what_was_not_varied_has_no_table():
    overhead = "overhead ms a step"
    assert all(overhead not in header for header in headers(result(GANS)))
    assert all("GANs at once" not in header for header in headers(result(DEVICES)))
    assert len(headers(result(PEERS))) == 3


def test_devices_have_ratio_and_overhead():
    _, (header, rows), *_ = report.all_tables(document(result(DEVICES)))
    assert dict(zip(header, rows[1], strict=True)) == {
        "network": "reference",
        "loss": "hinge",
        "batch": "64",
        "precision": "float32",
        "images": "28 x 28 x 1",
        "devices": "4",
        "ms a step": "14.0 (13.0..15.0)",
        "/ gan_jax": "1.40 (1.40..1.40)",
        "overhead ms a step": "4.00 (4.00..4.00)",
    }


def test_gans_at_once_are_compared_with_as_many_one_by_one():
    _, (header, rows), *_ = report.all_tables(document(result(GANS)))
    row = dict(zip(header, rows[1], strict=True))
    assert row["ms a GAN"] == "7.50"
    assert row["/ gan_jax"].startswith("0.75")


def test_the_floor_has_both_of_its_terms():
    *_, (header, rows), _ = report.all_tables(document(result(PEERS)))
    row = dict(zip(header, rows[0], strict=True))
    assert row["products ms"] == "0.0160"
    assert row["weights ms"] == row["floor ms"] == "0.0200"


def test_notes_say_what_was_left_out_and_how_products_round():
    left_out = result(PEERS, unavailable=[("graphed", "CUDA graphs need a GPU")])
    text = report.as_markdown(document(left_out))
    assert "PyTorch CUDA graph: not measured: CUDA graphs need a GPU" in text
    assert "3e-04 in float32" in text
    assert "abacus" in text


@pytest.mark.parametrize(
    ("results", "titles"),
    [
        ([result(PEERS)], {"ms a step"}),
        (
            [result(PEERS), result(PEERS, batch=256)],
            {"ms a step", "share of the roofline"},
        ),
        ([result(DEVICES)], {figure.DEVICES}),
        (
            [result(GANS), result(GANS, precision="bfloat16")],
            {figure.RELATIVE, figure.MANY},
        ),
    ],
)
def test_a_figure_draws_what_was_varied(tmp_path, results, titles):
    assert set(figure.panels(results)) == titles
    figure.save(tmp_path / "f.png", results)
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_lines_are_labelled_by_what_differs():
    results = [result(PEERS), result(PEERS, batch=256)]
    _, lines = figure.panels(results)["ms a step"]
    assert list(lines) == ["gan_jax", "PyTorch eager"]
    assert [x for x, _ in lines["gan_jax"]] == [64, 256]
    results = [result(GANS), result(GANS, precision="bfloat16")]
    _, lines = figure.panels(results)[figure.RELATIVE]
    assert list(lines) == ["float32", "bfloat16"]


def test_of_what_several_files_have_measured_one_point_is_drawn():
    """As of batch 64 in the documented commands for a GPU, which --read merges."""
    again = {"gan_jax": program(11.0), "gan_jax_8_gans": program(60.0, gans=8)}
    results = [result(PEERS), result(PEERS, batch=256), result(again)]
    drawn = figure.panels(results)
    assert set(drawn) == {
        *("ms a step", "share of the roofline"),
        *(figure.RELATIVE, figure.MANY),
    }
    lines = drawn["ms a step"][1]["gan_jax"]
    assert [(x, y["median"]) for x, y in lines] == [(64, 10.0), (256, 10.0)]
    for title in (figure.RELATIVE, figure.MANY):
        (points,) = drawn[title][1].values()
        assert [x for x, _ in points] == [1, 8]
