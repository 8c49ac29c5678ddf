"""The figures: what happened is counted, in Prometheus's own words, and nothing else is in them."""

from datetime import timedelta

from prometheus_client.parser import text_string_to_metric_families

from bot import metrics
from tests.bot.test_intake_grants import collect, live_grant, work
from tests.worlds.notaries import notary
from tests.worlds.samples import NOW
from tests.worlds.web import Web
from workers.stores import layout
from workers.stores.layout import timing
from workers.stores.memory import memory_store
from workers.stores.port import Commit
from workers.stores.rooms import RoomSeen, RoomsSeen


async def scrape(web: Web) -> dict[tuple[str, ...], float]:
    """Return name and label values → value."""
    got = await web.call("GET", "/metrics", who=None)
    assert got.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return read(got.body.decode())


def read(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_how_far_and_how_lately_the_log_was_signed(web: Web):
    await web.ask("k1")
    covered = await notary(web.store).cover(1)
    await web.ask("k2", reason="another")
    found = await scrape(web)
    assert found["countersign_checkpoint_size",] == covered.size < found["countersign_log_size",]
    assert 0 <= found["countersign_checkpoint_age_seconds",] < 60


async def test_what_happened_is_counted(web: Web):
    grant = await live_grant(web)
    await collect(web, grant)
    waiting = (await web.ask("k2", reason="another")).json["id"]
    await web.review(waiting, "dana")
    await web.ask("k3", reason="")
    await web.ask("k4", risk="huge")
    await web.call("GET", "/v1/grants", who=None)
    await web.store.signals.beat("clock")
    found = await scrape(web)
    assert found["countersign_store_up",] == 1
    assert found["countersign_requests_total", "PENDING"] == 2
    assert found["countersign_requests_total", "APPROVED"] == 1
    assert found["countersign_requests_total", "DENIED"] == 1
    assert found["countersign_requests_waiting",] == 1
    assert found["countersign_grants_live",] == 1
    assert found["countersign_reviews_refused_total", "four_eyes"] == 1
    assert found["countersign_refused_total", "malformed"] == 1
    assert found["countersign_strangers_total",] == 1
    assert found["countersign_decision_seconds_count",] == 2
    assert found["countersign_mint_seconds_count",] == 1
    assert found["countersign_due_lag_seconds", "worker"] == 0
    assert 0 <= found["countersign_process_beat_age_seconds", "clock"] < 5
    await web.call("POST", f"/v1/grants/{grant}/revoke", who="user:robin")
    await work(web)
    after = await scrape(web)
    assert after["countersign_log_size",] > found["countersign_log_size",] > 0
    assert ("countersign_checkpoint_size",) not in after
    assert after["countersign_grants_live",] == 0
    assert after["countersign_grants_total", "REVOKED"] == 1
    assert after["countersign_revoke_seconds_count",] == 1


async def test_histograms_add_up():
    store = memory_store(lambda: NOW)
    for took in (0.01, 0.05, 0.051, 3, 3, 100_000):
        await store.records.commit(Commit(at=NOW, counts=timing("mint_seconds", timedelta(seconds=took))))
    found = read(metrics.render(await metrics.read(store, "1")).decode())
    bucket = "countersign_mint_seconds_bucket"
    assert (found[bucket, "0.05"], found[bucket, "0.1"], found[bucket, "2.5"], found[bucket, "5.0"]) == (2, 3, 3, 5)
    assert found[bucket, "1800.0"] == 5
    assert found[bucket, "+Inf"] == found["countersign_mint_seconds_count",] == 6
    assert round(found["countersign_mint_seconds_sum",], 2) == 100_006.11


async def test_lag_is_that_of_the_oldest_overdue_item():
    store = memory_store(lambda: NOW)
    late = {"grant:grt_1": NOW - timedelta(seconds=7), "request:req_1": NOW + timedelta(seconds=7)}
    await store.records.commit(Commit(at=NOW, due=late))
    found = read(metrics.render(await metrics.read(store, "1")).decode())
    assert found["countersign_due_lag_seconds", "worker"] == 7
    assert found["countersign_due_lag_seconds", "clock"] == 0


async def test_alerts_are_counted_by_kind():
    store = memory_store(lambda: NOW)
    await store.records.commit(Commit(at=NOW, counts={"alerts:clock.silent": 1, "something:else": 5}))
    found = read(metrics.render(await metrics.read(store, "1")).decode())
    assert found["countersign_alerts_total", "clock.silent"] == 1
    assert not any("else" in name for name in found)


async def test_figures_hold_no_names_of_people_or_keys(web: Web):
    await live_grant(web)
    text = (await web.call("GET", "/metrics", who=None)).body.decode()
    for word in ("dana", "robin", "report-bot", "cs_", "req_", "grt_", "very-secret"):
        assert word not in text


async def test_the_room_for_denies_on_each_base_role_is_shown_as_the_sweep_saw_it():
    store, arn = memory_store(lambda: NOW), "arn:aws:iam::123456789012:role/countersign-base-analytics"
    seen = RoomsSeen(roles={arn: RoomSeen(role="analytics", denies=45, needed=50, seen_at=NOW)})
    await store.records.commit(Commit(at=NOW, **layout.put(layout.ROOMS, 0, seen.model_dump_json())))
    found = read(metrics.render(await metrics.read(store, "1")).decode())
    assert found["countersign_denies", arn, "analytics"] == 45
    assert found["countersign_denies_needed", arn, "analytics"] == 50
