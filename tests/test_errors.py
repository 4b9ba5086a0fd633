"""What the lines that users read are made of."""

import pytest

from gan_jax.errors import without_passwords


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (
            "--storage=postgresql://me:a.b-1$@db:5432/x --seed=0",
            "--storage=postgresql://me:***@db:5432/x --seed=0",
        ),
        ("redis://:secret@host and mysql+py://u:p@h", None),
        ("postgresql://me:a/b@db:5432/x", "postgresql://me:***@db:5432/x"),
        ("redis://:p@ss@host", "redis://:***@host"),
        ("redis://:1/2@host", "redis://:***@host"),
        ("mysql://me@server:secret@db/x", "mysql://me@server:***@db/x"),
        ("sqlite:///a:b@c.db", "sqlite:///a:b@c.db"),
        ("http://host:8080/a?b=c@d", "http://host:8080/a?b=c@d"),
        ("s3://bucket/a", "s3://bucket/a"),
    ],
)
def test_passwords_of_addresses_are_not_shown(text, kept):
    kept = kept or "redis://:***@host and mysql+py://u:***@h"
    assert without_passwords(text) == kept
