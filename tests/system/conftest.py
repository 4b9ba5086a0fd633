"""A store in memory, and a study's folder in it."""

import pytest

from gan_jax.system import remote
from tests import memory_store


@pytest.fixture
def objects(monkeypatch):
    return memory_store.install(monkeypatch)


@pytest.fixture
def study(objects):
    return remote.folder("s3://bucket/study")
