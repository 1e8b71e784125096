"""TLS from files: a certificate, its key, and the authorities for client certificates.

Rule: a connection uses one complete set of files: the newest good one when it began.

Layer: beside `auth`, below `server`.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .config import Config, ConfigError
from .files import check_regular

__all__ = ["Tls", "common_name"]

REASONS = {
    "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
    "NO_START_LINE": "holds nothing in PEM form",
    "NO_CERTIFICATE_OR_CRL_FOUND": "holds no certificate in PEM form",
    "EE_KEY_TOO_SMALL": "the key is too short to be safe",
    "CA_KEY_TOO_SMALL": "the key of an authority is too short to be safe",
}


class Tls:
    """The context for new connections, TLS 1.2 and newer. Raises ConfigError."""

    context: ssl.SSLContext

    def __init__(self, config: Config) -> None:
        self._config = config
        self.reload()

    def reload(self) -> Iterable[None]:
        """Read the files again. Raises ConfigError; then the context stays the same."""
        config = self._config
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Only an attacker starts a second handshake, to use up the server's time.
        context.options |= ssl.OP_NO_RENEGOTIATION
        with reading(config.tls_cert, config.tls_key):
            context.load_cert_chain(config.tls_cert, config.tls_key or None, no_password)
        if config.tls_ca:
            with reading(config.tls_ca):
                context.load_verify_locations(config.tls_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        self.context = context
        return ()


@contextmanager
def reading(*paths: str) -> Iterator[None]:
    """Turn an error with these files into a ConfigError."""
    names = " and ".join(dict.fromkeys(path for path in paths if path))
    for path in filter(None, paths):
        check_regular(path)
    try:
        yield
    except ssl.SSLError as error:
        reason = REASONS.get(error.reason or "", error.reason) or lacking(paths)
        raise ConfigError(f"{names}: {reason}") from None
    except OSError as error:
        raise ConfigError(f"cannot read {names}: {error.strerror}") from None


def lacking(paths: Iterable[str]) -> str:
    """What is missing in these files, if OpenSSL does not report it."""
    held = b"".join(Path(path).read_bytes() for path in paths if path)
    if b"CERTIFICATE-----" not in held:
        return "holds no certificate in PEM form"
    if b"PRIVATE KEY-----" not in held:
        return "holds no private key; give it with --tls-key"
    return "is no certificate or key"


def no_password() -> bytes:
    """Called if a key is encrypted. Without it, OpenSSL would ask at the terminal."""
    raise ConfigError("the private key is encrypted; a server has nobody to ask for its password")


def common_name(certificate: Mapping[str, Any] | None) -> str:
    """The common name in a client's certificate; empty if there are none or several.

    >>> common_name({"subject": ((("commonName", "ann"),),)})
    'ann'
    """
    subject = (certificate or {}).get("subject", ())
    found = [value for part in subject for key, value in part if key == "commonName"]
    return found[0] if len(found) == 1 else ""
