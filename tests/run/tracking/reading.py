"""What is in the files that trackers leave, read without the trackers."""

import collections
import json
import sqlite3
import struct

from tensorboardX.proto import event_pb2


def events(folder):
    """TensorBoard's events of a run folder, in the order of the files' names."""
    found = []
    for path in sorted(folder.glob("events.out.*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            found.append(event_pb2.Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def event_values(folder, tag):
    """Steps and values of a tag, of a picture its bytes, as TensorBoard shows them."""
    found = []
    for event in events(folder):
        if event.HasField("session_log"):
            found = [pair for pair in found if pair[0] < event.step]
        found += [
            (event.step, value.image.encoded_image_string or value.simple_value)
            for value in event.summary.value
            if value.tag == tag
        ]
    return found


def wandb_rows(folder):
    """Of an offline run of wandb: its history, its settings, and how often it ended.

    The file is a log of LevelDB's kind: seven bytes, blocks of 32 KiB, and records with
    seven bytes before each part of them.
    """
    from wandb.proto import wandb_internal_pb2

    (path,) = folder.glob("run-*.wandb")
    data, parts, found = path.read_bytes(), b"", collections.defaultdict(list)
    position = 7
    while position < len(data):
        if 2**15 - position % 2**15 < 7:  # the rest of a block holds nothing
            position += 2**15 - position % 2**15
            continue
        length, kind = struct.unpack("<HB", data[position + 4 : position + 7])
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record.FromString(parts)
            found[record.WhichOneof("record_type")].append(record)
            parts = b""
    rows = [
        {
            item.key or "/".join(item.nested_key): json.loads(item.value_json)
            for item in record.history.item
        }
        for record in found["history"]
    ]
    config = {
        item.key: json.loads(item.value_json)
        for item in found["run"][0].run.config.update
    }
    return rows, config, [record.exit.exit_code for record in found["exit"]]


def trackio_rows(folder):
    """Rows of step and values, and settings, by the runs' names."""
    with sqlite3.connect(folder / "gan_jax.db") as database:
        rows = collections.defaultdict(list)
        for name, step, values in database.execute(
            "select run_name, step, metrics from metrics order by id"
        ):
            rows[name].append((step, json.loads(values)))
        configs = {
            name: json.loads(config)
            for name, config in database.execute("select run_name, config from configs")
        }
    return rows, configs
