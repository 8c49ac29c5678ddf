"""Kill the clock, the export and the stream where it hurts, and fill their disks: what they leave is whole, or says so.

Real processes over a real server, struck from outside. A gate holds the call at which a process is killed; where only
files are touched, the interpreter tells what is about to be done, and the process is struck just before (`felled.py`).

By default a few places are played, the ones that were aimed at; `KILLS=all` plays every call and every file, `KILLS=0`,
`1` or `2` a third of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pytest

from approvers.checkpoint import Checkpoint, read_checkpoint
from approvers.request import Request
from bot.commits import Click
from bot.deps import make_desk
from bot.desk import Desk
from bot.directory import Directory
from bot.reading import Reader
from countersign.ops.exporting import export
from countersign.ops.exporting_folder import Folder
from countersign.ops.signed_log import newest, signed_at
from countersign.receipts import verify_receipt
from countersign.verifying.checks import Checks
from countersign.verifying.core import Key
from countersign.verifying.findings import Unreadable
from countersign.verifying.verify import verify
from tests.bot.test_desk import caller, person
from tests.countersign.ops.export_world import Watched, held, no_bar
from tests.story.test_evidence import REFUND
from tests.thirds import played
from tests.worlds import samples
from tests.worlds.alert_sink import AlertSink
from tests.worlds.gate import Call, Hold
from tests.worlds.notaries import root_of
from tests.worlds.processes import ROOT, Process, start
from tests.worlds.redis_gate import QUIET, RedisGate, lua_scripts
from tests.worlds.signing import CLOCK_ENV, LOG, VERIFY_KEY
from tests.worlds.valkey import Valkey
from workers.policies import Policies, apply
from workers.stores import layout
from workers.stores.port import Store
from workers.stores.redis import connect

T = TypeVar("T")
KEYS = [Key.parse(VERIFY_KEY)]
PLAYED = os.environ.get("KILLS", "")
"""Which third of everything, or `all`; empty: what was aimed at."""
UNCOMPILED = {"PATH": os.environ["PATH"], "HOME": "/", "PYTHONDONTWRITEBYTECODE": "1"}
"""For processes with a limit on files: what is compiled under it would stay, cut off, for everybody."""
COMMAND = f"{sys.executable} -m countersign"
LEASE = {"COUNTERSIGN_LEASE_SECONDS": "1"}
"""So that what a dead clock held comes back while the next one starts."""
DENIED_BY_RULE = {"action": "s3:DeleteObject", "access": None}
GIVEN = "request.receipted"


def of_this_run(aimed: Sequence[T], every: Sequence[T]) -> list[T]:
    """Return what is played: what was aimed at, or a part of everything."""
    return played(every, PLAYED) if PLAYED else list(aimed)


@asynccontextmanager
async def opened(valkey: Valkey) -> AsyncIterator[Store]:
    store = await connect(valkey.url)
    yield store
    await store.aclose()


async def desk_on(store: Store) -> Desk:
    """Apply the demo's rules, and return where asks and answers go in."""
    await apply(store.records, policy=samples.POLICY_TEXT, roster=samples.ROSTER_TEXT, by="user:dana", why="test")
    policies = Policies(store.records, store.signals)
    await policies.refresh()
    return make_desk(store, policies, Reader(store), Directory(policies))


async def denied(desk: Desk, *keys: str) -> list[str]:
    """Ask for what a rule denies, all at once: each a decision, and so a receipt that is due."""
    asked = samples.action(**DENIED_BY_RULE)
    return [view.request.id for view in await asyncio.gather(*(desk.submit(caller(), asked, key) for key in keys))]


async def approved(desk: Desk, key: str) -> str:
    """Have an action approved for which there is no credential: its receipt is what it is done by."""
    view = await desk.submit(caller(), samples.action(**REFUND, access=None, data_classes=None, ttl_seconds=None), key)
    for name in ("robin", "alex"):
        await desk.review(Click(person(name), view.request.id, "approve"))
    return view.request.id


async def receipted(store: Store, requests: Sequence[str]) -> dict[str, Request]:
    """Return the requests once each has its receipt."""
    reader, found = Reader(store), dict[str, Request]()
    async with asyncio.timeout(60):
        for one in requests:
            while (request := (await reader.look(one)).request).receipt is None:  # noqa: ASYNC110 others write it
                await asyncio.sleep(0.02)
            found[one] = request
    return found


def notes_of(calls: Sequence[Call]) -> list[Checkpoint]:
    """Return every checkpoint that was signed and sent, whether it came to be in the store or not."""
    words = [word for call in calls if call.name == "EVALSHA:commit" for word in call.request]
    return [read_checkpoint(word.decode()) for word in words if word.startswith(f"{LOG}\n".encode())]


async def judge(store: Store, folder: Path, requests: dict[str, Request], notes: Sequence[Checkpoint]) -> None:
    """Hold all that was ever signed against the log as it is now, and the log against its export."""
    roots = {note.size: await root_of(store, note.size) for note in notes}
    assert [note for note in notes if note.root != roots[note.size]] == [], "two roots were signed at one size"
    events = [json.loads(event) for _, event in await store.outbox.unread(10_000)]
    given = Counter(event["request"] for event in events if event["type"] == GIVEN)
    assert given == dict.fromkeys(requests, 1), "one receipt for each decision"
    await export(store, Folder(folder / "export"), (await newest(store)).checkpoint, no_bar)
    lines = (folder / "export" / "receipts.txt").read_text().splitlines()
    kept = {one.receipt.jws: one for one in requests.values() if one.receipt}
    assert sorted(lines) == sorted(kept)
    for jws, request in kept.items():
        verify_receipt(jws, key=VERIFY_KEY, request=request.id, decision=request.state)
    witness = folder / "witness"
    witness.write_text("\n\n".join([*kept, *(f"Log {note.size} · root {note.root.hex()}" for note in notes)]))
    checks = Checks(folder / "export")
    found = verify(folder / "export", KEYS, witnesses_in=[witness], checks=checks.all)
    assert found.findings == []
    assert found.agreed[0] == found.witnesses == len(kept) + len(notes)
    assert checks.replayed >= len(requests)
    assert found.counts["decisions"] == found.counts["receipts"] == len(requests)


def commits(start_of_a_word: bytes) -> Callable[[Call], bool]:
    """Tell the commits that name this."""
    return lambda call: call.name == "EVALSHA:commit" and any(one.startswith(start_of_a_word) for one in call.request)


def reads(key: bytes) -> Callable[[Call], bool]:
    """Tell the reads of such a record that go before a commit: with the chain of `sys` where it is the notary's."""
    notary = key == layout.NOTARY.encode()
    return lambda call: (
        call.name == "EVALSHA:read"
        and any(one.startswith(key) for one in call.request)
        and (not notary or b"sys" in call.request)
    )


@dataclass(frozen=True)
class Place:
    """Where a clock is killed, between the claim of a due receipt and what comes after its commit."""

    name: str
    only: Callable[[Call], bool]
    when: str
    nth: int | None = None
    over: bool = False
    """The receipt is in the store by then."""


PLACES = [
    Place("claimed", reads(layout.NOTARY.encode()), "before"),
    Place("the log is read", lambda call: call.name == "EVALSHA:tail", "after"),
    Place("a checkpoint is signed", commits(b"checkpoint:"), "before"),
    Place("the checkpoint is stored", commits(b"checkpoint:"), "after"),
    Place("the requests are read", reads(b"request:"), "before"),
    Place("receipts are signed", commits(b"receipt:"), "before"),
    Place("one receipt of three is stored", commits(b"receipt:"), "before", nth=2),
    Place("receipts are stored", commits(b"receipt:"), "after", over=True),
]
AIMED = [one for one in PLACES if one.name in ("claimed", "the checkpoint is stored", "receipts are stored")]


@dataclass
class Clocked:
    """A server, and clocks behind a gate each."""

    folder: Path
    valkey: Valkey
    gates: list[RedisGate]
    clocks: list[Process]

    def in_hand(self) -> int:
        """Return how many receipts are claimed and not done."""
        with self.valkey.client() as client:
            return sum(member.startswith(b"receipt:") for member in client.hkeys("{cs}:claims"))

    def fell(self, number: int, hold: Hold) -> None:
        """Kill a clock at the call that is held, and start it again: it knows nothing but what the store says."""
        self.clocks[number].kill()
        hold.drop()
        self.gates[number].forgo(hold)
        self.clocks[number].restart()

    def signed(self) -> list[Checkpoint]:
        """Return every checkpoint that any of them sent, and what each has witnessed in its own file."""
        kept = [read_checkpoint(path.read_text()) for path in self.folder.glob("witness?")]
        return kept + [note for gate in self.gates for note in notes_of(gate.log)]


@pytest.fixture
def clocked(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Clocked]:
    with ExitStack() as stack:
        valkey = stack.enter_context(Valkey(tmp_path / "valkey"))
        gates, clocks = [], []
        for number in range(request.param):
            gates.append(stack.enter_context(RedisGate(valkey.url, scripts=lua_scripts(), ignore=QUIET)))
            env = {**CLOCK_ENV, **LEASE, "COUNTERSIGN_REDIS_URL": gates[-1].url}
            env["COUNTERSIGN_WITNESS_FILE"] = str(tmp_path / f"witness{number}")
            clocks.append(stack.enter_context(start("workers.clock", env, tmp_path / "out", name=f"clock{number}")))
        yield Clocked(tmp_path, valkey, gates, clocks)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("clocked", [1], indirect=True, ids=["one clock"])
async def test_a_decision_has_one_receipt_wherever_its_clock_is_killed(
    clocked: Clocked, tmp_path: Path, show: Callable[[str], None]
) -> None:
    places, requests = of_this_run(AIMED, PLACES), list[str]()
    async with opened(clocked.valkey) as store:
        desk = await desk_on(store)
        for number, place in enumerate(places):
            hold = clocked.gates[0].hold(place.nth, place.when, place.only)
            requests += await denied(desk, f"{number}a", f"{number}b")
            requests.append(await approved(desk, f"{number}c"))
            await asyncio.to_thread(hold.wait)
            assert place.over or clocked.in_hand() > 0, place.name
            clocked.fell(0, hold)
        found = await receipted(store, requests)
        await judge(store, tmp_path / "judged", found, clocked.signed())
    show(f"clock killed {len(places)} times, when: {', '.join(place.name for place in places)}")


@dataclass(frozen=True)
class Turn:
    """What becomes of two clocks that have both signed, over logs of two sizes, and not yet stored it.

    `first` signed the smaller one. Who lives stores what it has signed in this order; who dies is started again.
    """

    name: str
    lives: tuple[str, ...]
    dies: tuple[str, ...]


TURNS = [
    Turn("the first dies", ("second",), ("first",)),
    Turn("the second dies", ("first",), ("second",)),
    Turn("both die", (), ("first", "second")),
    Turn("the larger one is stored first, then both die", ("second", "first"), ("first", "second")),
    Turn("both live", ("second", "first"), ()),
]


async def first_held(holds: Sequence[Hold]) -> int:
    """Return whose clock came first to where both are held."""
    async with asyncio.timeout(20):
        while not any(hold.held for hold in holds):  # noqa: ASYNC110 there is no event for either of two
            await asyncio.sleep(0.005)
    return [hold.held for hold in holds].index(True)


async def crossed(clocked: Clocked, desk: Desk, turn: Turn) -> list[str]:
    """Have both clocks sign at once, and end them or let them go on; returns the requests."""
    holds = [gate.hold(None, "before", commits(b"checkpoint:")) for gate in clocked.gates]
    requests = await denied(desk, f"{turn.name}, first")
    first = await first_held(holds)
    clocked.clocks[first].pause()  # so that it is the other one that takes what is due next
    requests += await denied(desk, f"{turn.name}, second")
    await asyncio.to_thread(holds[1 - first].wait)
    clocked.clocks[first].resume()
    sizes = [note.size for hold in holds if hold.call for note in notes_of([hold.call])]
    assert sizes[first] < sizes[1 - first]
    who = {"first": first, "second": 1 - first}
    for name in turn.lives:
        before = signed_size(clocked.valkey)
        holds[who[name]].release()
        if name == turn.lives[0]:
            await grown(clocked.valkey, before)
    for name in turn.dies:
        clocked.fell(who[name], holds[who[name]])
    for gate, hold in zip(clocked.gates, holds, strict=True):
        gate.forgo(hold)
    return requests


def signed_size(valkey: Valkey) -> int:
    """Return up to which size the log is signed."""
    with valkey.client() as client:
        held = client.hget(f"{{cs}}:record:{layout.NOTARY}", "j")
    return int(json.loads(held)["size"]) if held else 0


async def grown(valkey: Valkey, before: int) -> None:
    """Return once more is signed than before."""
    async with asyncio.timeout(20):
        while signed_size(valkey) <= before:  # noqa: ASYNC110 another process signs
            await asyncio.sleep(0.005)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("clocked", [2], indirect=True, ids=["two clocks"])
async def test_two_clocks_that_sign_at_once_never_sign_two_histories(
    clocked: Clocked, tmp_path: Path, show: Callable[[str], None]
) -> None:
    turns, requests = of_this_run(TURNS[3:4], TURNS), list[str]()
    async with opened(clocked.valkey) as store:
        desk = await desk_on(store)
        for turn in turns:
            for clock in clocked.clocks:
                await asyncio.to_thread(clock.wait_line, "clock.started")
            requests += await crossed(clocked, desk, turn)
            await receipted(store, requests)
        await judge(store, tmp_path / "judged", await receipted(store, requests), clocked.signed())
    show(f"two clocks signed at once {len(turns)} times; {', '.join(turn.name for turn in turns)}")


@dataclass(frozen=True)
class Written:
    """A log of more than one page, all of it signed, and no clock: nothing moves any more but by what a test starts."""

    valkey: Valkey
    requests: dict[str, Request]
    sizes: tuple[int, int]
    """Where it is signed: somewhere in it, and at its end."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    folder = tmp_path_factory.mktemp("written")
    with Valkey(folder / "valkey") as valkey:
        with start("workers.clock", {**CLOCK_ENV, "COUNTERSIGN_REDIS_URL": valkey.url}, folder, name="clock"):
            requests, sizes = asyncio.run(grow(valkey))
        yield Written(valkey, requests, sizes)


async def grow(valkey: Valkey) -> tuple[dict[str, Request], tuple[int, int]]:
    async with opened(valkey) as store:
        desk = await desk_on(store)
        requests = [await approved(desk, "approved")]
        requests += await denied(desk, *(f"early {number}" for number in range(30)))
        early = (await newest(store)).checkpoint.size
        for some in range(6):
            requests += await denied(desk, *(f"{some}, {number}" for number in range(40)))
        found = await receipted(store, requests)
        return found, (early, (await newest(store)).checkpoint.size)


@dataclass(frozen=True)
class Strike:
    """When an export is struck, and by which signal: before a change in its folder, or at a call to the store."""

    change: str = "0"
    """Which change, as `felled.py` is told."""
    call: str = ""
    of: bytes = b""
    """What the call is about."""
    nth: int = 1
    when: str = "before"
    number: signal.Signals = signal.SIGKILL
    grows: bool = False
    """An older export is in the folder, whole."""

    def __str__(self) -> str:
        onto = " of a growing one" if self.grows else ""
        return f"{self.number.name} {self.when} {self.call or 'change'} {self.nth if self.call else self.change}{onto}"

    def is_at(self, call: Call) -> bool:
        """Tell a call that may be the one."""
        return call.name == self.call and any(word.startswith(self.of) for word in call.request)


class Exports:
    """Exports of one log to one size, each into a folder of its own; one of them made in one go, for comparison."""

    def __init__(self, written: Written, folder: Path) -> None:
        self.written, self.folder = written, folder
        self.straight, self.older = folder / "straight", folder / "older"
        early, self.size = written.sizes
        self.go_on(self.straight, self.size)
        self.go_on(self.older, early)

    def plan(self, path: Path) -> tuple[int, list[str]]:
        """Export by the command, in one go; return how many changes of its folder there were, and its calls."""
        with self.gate() as gate:
            process = self.process(path, gate, Strike())
            assert process.wait() == 0, process.output.decode()
            assert held(path) == held(self.straight)
            changes = sum(line.startswith("change ") for line in process.lines())
            return changes, [name for name in gate.calls if name != "TIME" and not name.startswith("EVAL:")]

    def gate(self) -> RedisGate:
        return RedisGate(self.written.valkey.url, scripts=lua_scripts(), ignore=QUIET)

    def process(self, path: Path, gate: RedisGate, strike: Strike) -> Process:
        """Start `countersign audit export` of this size into that folder."""
        words = ("audit", "export", str(path), "--upto", str(self.size), "--by", "user:kim")
        felled = (sys.executable, "-m", "tests.story.felled", str(path), strike.number.name, strike.change, *words)
        return Process(felled, {"COUNTERSIGN_REDIS_URL": gate.url}, self.folder / "out", path.name).restart()

    def struck(self, path: Path, strike: Strike) -> Process:
        """Begin an export that is struck; returns its process once it has ended."""
        if strike.grows:
            shutil.copytree(self.older, path)
        with self.gate() as gate:
            hold = gate.hold(strike.nth, strike.when, strike.is_at) if strike.call else None  # type: ignore[arg-type]
            process = self.process(path, gate, strike)
            while hold and process.running and not hold.held:
                time.sleep(0.005)  # a process that ends and a call that comes: there is no event for both
            if process.running and hold:
                os.kill(process.pid, strike.number)
            process.wait()
        return process

    def go_on(self, path: Path, size: int) -> list[tuple[int, int]]:
        """Export into the folder; returns what was asked of the log: behind which record, and how many."""

        async def work() -> list[tuple[int, int]]:
            async with opened(self.written.valkey) as store:
                log = Watched(store.log)
                signed = await signed_at(store.records, size)
                assert signed
                await export(replace(store, log=log), Folder(path), signed.checkpoint, no_bar)
                return log.asked

        return asyncio.run(work())

    def strikes(self) -> list[Strike]:
        """Return every way to strike one: each change and each call, by a kill and by Ctrl-C."""
        kill, stop = signal.SIGKILL, signal.SIGINT
        changes, calls = self.plan(self.folder / "planned")
        grown, _ = self.plan(shutil.copytree(self.older, self.folder / "grown"))
        found = [Strike(str(nth), number=number) for number in (kill, stop) for nth in range(1, changes + 1)]
        found += [Strike(str(nth), grows=True) for nth in range(1, grown + 1)]
        seen = Counter[str]()
        for name in calls:
            seen[name] += 1
            found += [Strike(call=name, nth=seen[name], when=when) for when in ("before", "after")]
            found.append(Strike(call=name, nth=seen[name], number=stop))
        return found


STRUCK = [
    Strike(call="EVALSHA:tail", nth=2),
    Strike(call="EVALSHA:tail", nth=2, number=signal.SIGINT),
    Strike(call="EVALSHA:read", of=b"request:"),
    Strike(call="EVALSHA:texts", nth=2),
    Strike("os.rename records.jsonl"),
    Strike("os.rename manifest.json"),
    Strike("os.rename receipts.txt", grows=True),
]
"""What is struck by default: in the middle of each copy, and at the renaming of the last files."""


def whole_lines(path: Path) -> int:
    """Return how many records are in an export, or in what there is of it."""
    found = [one for one in (path / "records.jsonl", path / "records.jsonl.part") if one.exists()]
    return sum(one.read_bytes().count(b"\n") for one in found)


def outcome(exports: Exports, number: int, strike: Strike) -> tuple[str, int]:
    """Strike one export, look at what is left, and go on; returns what is wrong, or "", and how it ended."""
    path = exports.folder / f"struck{number}"
    process = exports.struck(path, strike)
    return left(exports, path, strike, process), process.wait()


def left(exports: Exports, path: Path, strike: Strike, process: Process) -> str:
    """Look at what an export that was struck has left, and go on; returns what is wrong, or ""."""
    err, code = "\n".join(process.lines()), process.wait()
    whole, had = (path / "manifest.json").exists(), whole_lines(path)
    if path.is_dir():
        try:
            found = verify(path, KEYS, checks=Checks(path).all)
            if not whole or found.findings:
                return f"half of it passes for whole, or {found.findings}"
        except Unreadable as error:
            if whole or "half an export" not in str(error):
                return f"a whole one does not open, or it is not said what to do: {error}"
    if strike.number == signal.SIGINT and code == 130 and "run the same command again, and it goes on" not in err:
        return f"stopped without a word: {err}"
    if code not in {signal.SIGKILL: (-signal.SIGKILL, 0), signal.SIGINT: (130, 0)}[strike.number]:
        return f"it ended with {code}: {err}"
    asked = exports.go_on(path, exports.size)
    if again := [one for one in asked if one[0] < had and one != (had - 1, 1)]:
        return f"it had {had} records, and began again at {again}"
    return "" if held(path) == held(exports.straight) else "it is not the same as one that was made in one go"


@pytest.mark.timeout(600)
def test_an_export_that_was_struck_goes_on_and_is_the_same(
    written: Written, tmp_path: Path, show: Callable[[str], None]
) -> None:
    exports = Exports(written, tmp_path)
    strikes = played(exports.strikes(), PLAYED) if PLAYED else STRUCK
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda one: outcome(exports, *one), enumerate(strikes)))
    wrong = [f"{strike}: {what}" for strike, (what, _) in zip(strikes, found, strict=True) if what]
    missed = [str(strike) for strike, (_, code) in zip(strikes, found, strict=True) if code == 0]
    show(f"exports struck: {len(strikes)}, in the copying of records, receipts and texts, and at files being named")
    show(f"done before they were stopped: {missed}")
    assert wrong == []
    assert len(missed) <= len(strikes) // 10


SHARES = {"records": 0.5, "receipts": 0.85, "texts": 0.985}
"""In the middle of which file a disk of so much of the whole is full."""
SCRIPT = """
set -e
{make_full}
set +e
(cd {root}; {limit} {export}); echo "ended with $?" >&2
(cd {root}; {verify}); echo "ended with $?" >&2
{make_room}
(cd {root}; {export}); echo "ended with $?" >&2
cp -r {disk}/export {out}
"""


def disk_scripts(disk: Path, size: int) -> tuple[list[str], dict[str, str]]:
    """Return how to run a script that has a disk of so many bytes, and its words for that.

    Where no mount is allowed, no file may become as long as the records: `ulimit` is the disk.
    """
    plain = ["sh", "-c"]
    way = ["unshare", "--user", "--map-root-user", "--mount", *plain]
    probe = f"mount -t tmpfs -o size=64k none {disk}"
    if shutil.which("unshare") and subprocess.run([*way, probe], capture_output=True, check=False).returncode == 0:
        full, room = f"mount -t tmpfs -o size={size} none {disk}", f"mount -o remount,size=64m {disk}"
        return way, {"make_full": full, "make_room": room, "limit": "", "said": "No space left on device"}
    return plain, {"make_full": "", "make_room": "", "limit": "ulimit -f 500;", "said": "File too large"}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("share", SHARES if PLAYED else ["records"])
def test_a_full_disk_leaves_half_an_export_that_goes_on_when_there_is_room(
    written: Written, tmp_path: Path, share: str, show: Callable[[str], None]
) -> None:
    exports = Exports(written, tmp_path)
    total = sum(one.stat().st_size for one in exports.straight.rglob("*") if one.is_file())
    disk, out = tmp_path / "disk", tmp_path / "out"
    disk.mkdir()
    way, words = disk_scripts(disk, int(total * SHARES[share]))
    export = f"{COMMAND} audit export {disk}/export --upto {exports.size} --by user:kim"
    check = f"{COMMAND} audit verify {disk}/export --key '{VERIFY_KEY}'"
    script = SCRIPT.format(root=ROOT, disk=disk, out=out, export=export, verify=check, **words)
    env = {**UNCOMPILED, "COUNTERSIGN_REDIS_URL": written.valkey.url}
    done = subprocess.run([*way, script], env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    full, verified, whole, _ = done.stderr.split("ended with ")
    assert f"{words['said']}. Nothing half-written passes for whole" in full
    assert "run the same command again: it goes on where it stopped" in full
    assert verified.startswith("1\n") and "half an export" in verified and "Export again into it" in verified
    assert whole.startswith("3\n"), whole
    assert done.stderr.endswith("ended with 0\n")
    assert "Traceback" not in done.stderr
    assert held(out) == held(exports.straight)
    show(f"disk full in the middle of the {share}: {words['said']}")


@pytest.mark.timeout(120)
async def test_a_witness_on_a_full_disk_is_told_and_signing_goes_on(tmp_path: Path) -> None:
    disk, requests = tmp_path / "disk", list[str]()
    witness, beside = disk / "witness", disk / ".witness.new"
    disk.mkdir()
    with Valkey(tmp_path / "valkey") as valkey, AlertSink() as pager:
        env = {
            **CLOCK_ENV, **LEASE, "COUNTERSIGN_REDIS_URL": valkey.url, "COUNTERSIGN_WITNESS_FILE": str(witness),
            "COUNTERSIGN_ALERT_WEBHOOK_URL": pager.url("alertmanager"),
        }  # fmt: skip
        with start("workers.clock", env, tmp_path / "out", name="clock") as clock:
            async with opened(valkey) as store:
                desk = await desk_on(store)
                requests += await denied(desk, "there is room")
                await receipted(store, requests)
                before = await witnessed(witness, 1)
                beside.symlink_to("/dev/full")
                requests += await denied(desk, "there is none")
                found = await receipted(store, requests)
                [told] = await asyncio.to_thread(pager.wait_for, 1)
                assert (told["key"], told["cleared"]) == ("witness.unwritable", False)
                assert "No space left on device" in told["summary"]
                assert any("witness.not_written" in line for line in clock.lines())
                assert witness.read_text() == before, "what was witnessed stays"
                beside.unlink()
                _, over = await asyncio.to_thread(pager.wait_for, 2)
                assert (over["key"], over["cleared"]) == ("witness.unwritable", True)
                after = await witnessed(witness, max(one.receipt.size for one in found.values() if one.receipt))
                await judge(store, tmp_path / "judged", found, [read_checkpoint(before), read_checkpoint(after)])


def told_by(witness: Path) -> tuple[str, int]:
    """Return what a witness's file says, and of which size."""
    text = witness.read_text() if witness.exists() else ""
    return text, read_checkpoint(text).size if text else 0


async def witnessed(witness: Path, size: int) -> str:
    """Return what a witness's file says, once it covers that size."""
    async with asyncio.timeout(20):
        while told_by(witness)[1] < size:  # noqa: ASYNC110 a clock writes it
            await asyncio.sleep(0.02)
    return told_by(witness)[0]


def streamed(lines: Sequence[str]) -> list[int]:
    """Return the positions of those lines that are whole."""
    return [json.loads(line)["position"] for line in lines if line.endswith("}}")]


@pytest.mark.timeout(120)
def test_a_stream_that_is_killed_before_its_cursor_moves_leaves_no_gap(written: Written, tmp_path: Path) -> None:
    with written.valkey.client() as client:
        size = client.llen("{cs}:log")  # more than was signed once: exports were made since
    with RedisGate(written.valkey.url, scripts=lua_scripts(), ignore=QUIET) as gate:
        words = (sys.executable, "-m", "countersign", "audit", "stream", "--cursor", "killed")
        process = Process(words, {"COUNTERSIGN_REDIS_URL": gate.url}, tmp_path, "stream")
        killed = of_this_run(["before"], ["before", "after", "before", "after"])
        for when in killed:
            hold = gate.hold(None, when, commits(b"cursor:killed"))  # type: ignore[arg-type]
            process.restart()
            hold.wait()
            process.kill()
            hold.drop()
            gate.forgo(hold)
        assert process.restart().wait() == 0, process.output.decode()
    at, expected = 0, list[int]()
    for when in killed:
        expected += range(at + 1, min(at + 500, size) + 1)
        at += 500 * (when == "after")
    assert streamed(process.lines("stdout")) == [*expected, *range(at + 1, size + 1)]


@pytest.mark.timeout(120)
def test_a_stream_into_a_file_without_room_leaves_no_gap(written: Written, tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    command = f"exec {COMMAND} audit stream --cursor full --limit 1 >> {out}"
    env = {**UNCOMPILED, "COUNTERSIGN_REDIS_URL": written.valkey.url}

    def run(limit: str) -> subprocess.CompletedProcess[str]:
        asked = ["sh", "-c", f"{limit} {command}"]
        return subprocess.run(asked, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    full = run("ulimit -f 1;")
    assert (full.returncode, "Traceback" in full.stderr) == (1, False), full.stderr
    assert "could not be written: File too large. Put it right (space, rights) and run the same command" in full.stderr
    assert out.stat().st_size > 0 and streamed(out.read_text().splitlines()) == []
    done = run("")
    assert (done.returncode, done.stderr) == (0, "")
    assert streamed(out.read_text().splitlines()) == [1]
