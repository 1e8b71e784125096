"""Certificates, made for these tests by an authority that nobody else trusts."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme


class Authority:
    """A certificate authority with its files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._folder = folder
        self.file = folder / "ca.pem"
        folder.mkdir(parents=True, exist_ok=True)
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, name: str = "localhost", file: str = "server.pem") -> Path:
        """A file with a key and a certificate for this common name."""
        path = self._folder / file
        issued = self._ca.issue_cert("localhost", common_name=name)
        issued.private_key_and_cert_chain_pem.write_to_path(path)
        return path

    def client(self, name: str | None = None) -> ssl.SSLContext:
        """What a client uses that trusts this authority, with a certificate for `name`."""
        context = ssl.create_default_context(cafile=str(self.file))
        if name is not None:
            context.load_cert_chain(self.issue(name, "client.pem"))
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")
