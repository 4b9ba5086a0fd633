"""A store in memory, in place of S3: fsspec's own, under S3's name."""

import fsspec
from etils.epath import backend
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry


class Store(MemoryFileSystem):
    protocol = "s3"
    store, pseudo_dirs = {}, [""]  # of this class alone

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).removeprefix("s3://"))


def install(monkeypatch):
    """An empty one, until the test ends; returns what each object holds."""
    monkeypatch.setattr(Store, "store", {})
    monkeypatch.setattr(Store, "pseudo_dirs", [""])
    monkeypatch.setitem(_registry, "s3", Store)
    # It keeps the file systems that it has made.
    monkeypatch.setattr(
        backend.fsspec_backend, "_get_filesystem", fsspec.filesystem, raising=False
    )
    return Objects()


class Objects:
    """Bytes by name, as in ``objects["bucket/study/config.json"]``."""

    def __getitem__(self, name):
        return Store.store[f"/{name}"].getvalue()

    def __contains__(self, name):
        return f"/{name}" in Store.store

    def __setitem__(self, name, data):
        Store().pipe_file(f"s3://{name}", data)

    def names(self):
        return sorted(name.removeprefix("/") for name in Store.store)
