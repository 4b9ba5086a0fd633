"""What is said where there is no Ray; the cluster's own tests are in tests/cluster."""

from types import SimpleNamespace

import pytest

from gan_jax.errors import UserError
from gan_jax.study import connection


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (None, r"^Ray does not start here \(it timed out\): .*or use --engine=local$"),
        ("auto", r"^no Ray cluster at --ray_address=auto \(it timed out\): start one"),
    ],
)
def test_a_ray_that_does_not_begin_is_one_line(address, message, monkeypatch):
    def init(*args, **how):
        raise RuntimeError("it timed\nout")

    monkeypatch.setattr(connection, "require", lambda: SimpleNamespace(init=init))
    with pytest.raises(UserError, match=message), connection.connected(address):
        pass
