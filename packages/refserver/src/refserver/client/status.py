"""The main metrics of a running server, for people.

Rule: it reads the metrics as Prometheus does, and uses no other source.

Layer: above `metrics`, below `cli`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException

from prometheus_client.parser import text_string_to_metric_families
from rich.table import Table

from ..server.metrics import METRICS, PREFIX, SHARED_METRICS
from .network import CommandError

__all__ = ["fetch", "rows", "table"]

TIMEOUT = 5.0

Samples = Mapping[str, Mapping[str, float]]


def fetch(port: int) -> Samples:
    """The values of each metric by their labels, '' without one. Raises CommandError."""
    where = f"no metrics from 127.0.0.1:{port}"
    try:
        return samples(get(port))
    except (HTTPException, ValueError):  # their text can contain bytes of the peer
        raise CommandError(f"{where}: what answers there is no refserver's metrics") from None
    except OSError as error:
        raise CommandError(f"{where}: {error.strerror or type(error).__name__}") from None


def get(port: int) -> str:
    """The page of the metrics endpoint."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)) as connection:
        connection.request("GET", "/metrics")
        with connection.getresponse() as response:
            if response.status != 200:
                raise ValueError(response.status)
            return response.read().decode()


def samples(text: str) -> Samples:
    """The metrics of refserver that a page has."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removeprefix(PREFIX).removesuffix("_total")
            label = next(iter(sample.labels.values()), "")
            found.setdefault(name, {})[label] = float(sample.value)
    if not all(metric.name in found for metric in METRICS if not metric.label):
        raise ValueError(sorted(found))
    return found


def rows(metrics: Samples) -> Iterator[tuple[str, str, str]]:
    """Name, value and meaning of each metric. Errors and evictions have a row only if there were
    some."""
    for metric in METRICS + SHARED_METRICS:
        for label, value in metrics.get(metric.name, {}).items():
            name = " ".join([*metric.name.split("_"), label]).strip()
            yield name, f"{value:,.0f}" if value.is_integer() else f"{value:.6f}", metric.meaning


def table(metrics: Samples) -> Table:
    """The rows, for a terminal."""
    drawn = Table("metric", "value", "meaning", box=None, pad_edge=False)
    drawn.columns[1].justify = "right"
    for row in rows(metrics):
        drawn.add_row(*row)
    return drawn
