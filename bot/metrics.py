"""Show the store's counters to Prometheus. They are the store's, so every web process tells the same story.

Counters are added in the very commits that they count; a histogram `NAME` is kept as `NAME:sum_ms` and, per bucket,
`NAME:le:MS` (not cumulative), as `workers.stores.layout.timing` writes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from pydantic import ValidationError

from workers.stores import layout
from workers.stores.layout import BUCKETS_MS
from workers.stores.port import Snapshot, Store, StoreError
from workers.stores.rooms import RoomSeen, rooms_seen
from workers.stores.signed import signed_so_far

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
COUNTERS = {
    "requests": ("state", "Requests by outcome; PENDING counts those that people were asked about."),
    "grants": ("state", "Grants opened, and by how they ended."),
    "grant_life": ("what", "What happened to live grants: heartbeats, warnings, ends because nobody was there."),
    "reviews_refused": ("code", "Reviews that did not count."),
    "refused": ("code", "Asks and calls refused before they changed anything."),
    "alerts": ("kind", "Alerts raised."),
    "break_glass": ("what", "Uses of break-glass, and what their after-reviews found."),
    "cards": ("what", "Cards posted, updated, and lost track of."),
    "slack_errors": ("what", "What went wrong between Slack and here, in both directions."),
    "teams_errors": ("what", "What went wrong between Teams and here, in both directions."),
}
HISTOGRAMS = {
    "decision_seconds": "From the ask to its decision.",
    "receipt_seconds": "From the decision to its signed receipt.",
    "mint_seconds": "From the approval to the live credential.",
    "revoke_seconds": "From the wish to end a credential to the proof that it ended.",
}


ROOMS = {
    "denies": "Denies that stand on a base role, as last seen at AWS; it holds 59.",
    "denies_needed": "Grants live on a base role, or holding a Deny there: all may have to be ended at once.",
}


@dataclass(frozen=True)
class Signing:
    """Hold the size of the newest signed checkpoint, and how old it is."""

    size: int
    age: timedelta


@dataclass(frozen=True)
class Reading:
    """Hold what was read for one scrape. `counts` is None when the store did not answer."""

    version: str
    counts: Mapping[str, int] | None = None
    lags: Mapping[str, timedelta] | None = None
    ages: Mapping[str, timedelta] | None = None
    rooms: Mapping[str, RoomSeen] | None = None
    log_size: int = 0
    signed: Signing | None = None


async def read(store: Store, version: str) -> Reading:
    """Read the counters, lags and heartbeats; an absent store is a reading, too."""
    try:
        counts, lags, beats, (rooms, _), size, seen = await asyncio.gather(
            store.signals.counts(),
            store.due.lag(),
            store.signals.beats(),
            rooms_seen(store.records),
            store.log.size(),
            store.records.read([layout.NOTARY]),
        )
    except StoreError:
        return Reading(version)
    now = seen.now
    ages = {process: max(timedelta(), now - at) for process, at in beats.items()}
    waits = {str(lane): lag for lane, lag in lags.items()}
    return Reading(version, counts, waits, ages, rooms.roles, size, _signed(seen))


def _signed(seen: Snapshot) -> Signing | None:
    try:
        signed = signed_so_far(seen.records[layout.NOTARY])
    except ValidationError:  # a newer version wrote it; the clock says so
        return None
    return Signing(signed.size, max(timedelta(), seen.now - signed.at)) if signed and signed.at else None


def render(reading: Reading) -> bytes:
    """Return the text that Prometheus scrapes."""
    registry = CollectorRegistry()
    registry.register(_Once(reading))
    return generate_latest(registry)


class _Once(Collector):
    """Give one reading to prometheus-client, which knows the text format."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Metric]:
        reading = self._reading
        yield InfoMetricFamily("countersign_build", "What runs.", value={"version": reading.version})
        up = 0 if reading.counts is None else 1
        yield GaugeMetricFamily("countersign_store_up", "Whether the store answered this scrape.", value=up)
        if reading.counts is None:
            return
        for name, (label, meaning) in COUNTERS.items():
            yield _counter(name, label, meaning, reading.counts)
        strangers = CounterMetricFamily("countersign_strangers", "Calls without a valid key, as far as recorded.")
        strangers.add_metric([], reading.counts.get("strangers", 0))
        yield strangers
        for name, meaning in HISTOGRAMS.items():
            yield _histogram(name, meaning, reading.counts)
        for name, index in (("requests_waiting", "waiting"), ("grants_live", "live")):
            size = reading.counts.get(f"size:{index}", 0)
            yield GaugeMetricFamily(f"countersign_{name}", f"Members of the index {index}.", value=size)
        yield from _rooms(reading.rooms or {})
        yield from _log(reading)
        yield _ages("due_lag_seconds", "lane", "How long the oldest overdue item has waited.", reading.lags)
        yield _ages("process_beat_age_seconds", "kind", "Since a process of this kind last beat.", reading.ages)


def _counter(name: str, label: str, meaning: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"countersign_{name}", meaning, labels=[label])
    for counter, value in sorted(counts.items()):
        kind, _, which = counter.partition(":")
        if kind == name and which:
            family.add_metric([which], value)
    return family


def _histogram(name: str, meaning: str, counts: Mapping[str, int]) -> Metric:
    buckets, seen = [], 0
    for bound in BUCKETS_MS:
        seen += counts.get(f"{name}:le:{bound}", 0)
        buckets.append((str(bound / 1000), float(seen)))
    seen += counts.get(f"{name}:le:inf", 0)
    buckets.append(("+Inf", float(seen)))
    family = HistogramMetricFamily(f"countersign_{name}", meaning)
    family.add_metric([], buckets, counts.get(f"{name}:sum_ms", 0) / 1000)
    return family


def _rooms(rooms: Mapping[str, RoomSeen]) -> Iterator[Metric]:
    """Show each base role's Denies, and how many it may come to need, of the 59 that it holds."""
    for name, meaning in ROOMS.items():
        family = GaugeMetricFamily(f"countersign_{name}", meaning, labels=["role", "arn"])
        for arn, seen in sorted(rooms.items()):
            family.add_metric([seen.role, arn], seen.denies if name == "denies" else seen.needed)
        yield family


def _log(reading: Reading) -> Iterator[Metric]:
    """Show how long the log is, and how far and how lately it was signed."""
    yield GaugeMetricFamily("countersign_log_size", "Records in the log.", value=reading.log_size)
    if reading.signed is not None:
        size, age = reading.signed.size, reading.signed.age.total_seconds()
        yield GaugeMetricFamily("countersign_checkpoint_size", "Records under the newest checkpoint.", value=size)
        yield GaugeMetricFamily("countersign_checkpoint_age_seconds", "Since that was signed.", value=age)


def _ages(name: str, label: str, meaning: str, values: Mapping[str, timedelta] | None) -> Metric:
    family = GaugeMetricFamily(f"countersign_{name}", meaning, labels=[label])
    for which, age in sorted((values or {}).items()):
        family.add_metric([which], age.total_seconds())
    return family
