"""Waiting for what another thread does."""

import time

LIMIT = 60.0  # seconds, of what takes a few milliseconds


def wait_until(happened):
    end = time.monotonic() + LIMIT
    while not happened():
        assert time.monotonic() < end, f"has not happened in {LIMIT:g} s"
        time.sleep(0.002)
