"""Hold docs/evidence.md to the code: its commands are run on a real store, in its order; what it shows is printed."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from approvers.texts import MARK
from bot.postings_lines import witnessed
from bot.reading import Reader
from countersign.cli import main
from countersign.verifying import canonical, core, witnesses
from countersign.verifying.findings import CODES, FLAGS
from tests.bot.postings_town import Sink
from tests.worlds.background import Background
from tests.worlds.fixtures import empty_valkey, valkey
from tests.worlds.valkey import Valkey
from tests.worlds.web import Web
from workers.clock import notary
from workers.clock.notary import Notary
from workers.clock.receipting import Receipting
from workers.signing import Signers, SigningKey, public_of
from workers.stores.port import Commit, Store
from workers.stores.redis import connect

__all__ = ["empty_valkey", "valkey"]
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "evidence.md").read_text()
TEXT = " ".join(PAGE.split())
KEY = SigningKey.generate("countersign.example.com/log")
REQUEST = "req_01JD3ZK6B1V6Q0X5R1ZC0W3E7H"


def commands() -> list[str]:
    """Return every command of the page's shell blocks, in its order."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def example(name: str) -> str:
    """Return what the page shows under this name."""
    [found] = re.findall(rf"<!-- example: {name} -->\n```text\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def shape(text: str) -> str:
    """Return words without numbers, ids and hashes: those differ from run to run."""
    return re.sub(r"\breq_\w+", "req_N", re.sub(r"\d[\d,]*", "N", re.sub(r"\breq_\w+", "req_N", text))).strip()


@dataclass
class Told:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


class Operator:
    """A Countersign on a real store: web in a thread, a clock that signs when it is told to, and the command line."""

    def __init__(self, background: Background, store: Store, web: Web) -> None:
        self.run, self.store, self.web, self.asked = background.run, store, web, 0
        self.notary = Notary(store, Signers(KEY, None), Sink())

    def decide(self, verdict: str) -> str:
        """Have one request asked for and answered; returns its id."""
        self.asked += 1
        found = self.run(self.web.ask(f"k{self.asked}", ttl_seconds=60 + self.asked)).json["id"]
        self.run(self.web.review(found, "robin", verdict, reason="I know what this is for"))
        return str(found)

    def sign(self) -> None:
        """Do what the clock does: receipts that are due, and a checkpoint over all."""

        async def work() -> None:
            items = (await self.store.due.claim("clock", most=99, lease=timedelta(seconds=20))).items
            receipts = [item for item in items if item.member.startswith("receipt:")]
            for item in items:
                if item not in receipts:
                    await self.store.records.commit(Commit(at=await self.store.records.now(), attempt=item))
            if receipts:
                receipting = Receipting(self.store, self.notary, Sink())
                receipting.begin(receipts)
                await receipting.turn()
            await self.notary.cover(await self.store.log.size())

        self.run(work())

    def look(self, request: str) -> Any:
        return self.run(Reader(self.store).look(request)).request


@pytest.fixture
def operator(empty_valkey: Valkey) -> Iterator[Operator]:
    background = Background("operator")
    store = background.run(connect(empty_valkey.url))
    opened = Web.over(store)
    web = background.run(opened.__aenter__())
    try:
        yield Operator(background, store, web)
    finally:

        async def last() -> None:
            await opened.__aexit__(None, None, None)
            await store.aclose()

        background.close(last)


@pytest.fixture
def told(
    operator: Operator, empty_valkey: Valkey, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Callable[..., Told]:  # fmt: skip
    """Run a command in an empty folder, with the settings of operator and auditor."""
    monkeypatch.setenv("COUNTERSIGN_REDIS_URL", empty_valkey.url)
    monkeypatch.setenv("COUNTERSIGN_URL", operator.web.base)
    monkeypatch.setenv("COUNTERSIGN_API_KEY", operator.web.keys["caller:auditor"])
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Told:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(words)
        return Told(int(ended.value.code or 0), *capfd.readouterr())

    return run


def test_the_page_from_its_first_command_to_its_last(
    operator: Operator, told: Callable[..., Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    approved = operator.decide("approve")
    operator.sign()
    assert told("audit", "export", "./evidence-last-year").code == 0
    denied = operator.decide("deny")
    operator.sign()
    operator.decide("deny")
    operator.sign()
    Path("key.txt").write_text(f"{public_of(KEY).text}\n")
    receipts = [operator.look(one).receipt for one in (approved, denied)]
    Path("answer.json").write_text(receipts[0].jws)
    Path("kept.txt").write_text(f"robin: done\n{witnessed(receipts[1])}\n{receipts[0].jws}\n")

    printed: dict[str, Told] = {}
    for line in commands():
        operator.sign()  # else an export waits for the clock
        typed, _, into = line.partition(" > ")
        words = [denied if word == REQUEST else word for word in shlex.split(typed)]
        assert words[0] == "countersign"
        printed[line] = found = told(*words[1:])
        assert found.code == 0, (line, found)
        if into:
            Path(into).write_text(found.out)

    [verified] = [one for line, one in printed.items() if "--report" in line]
    assert shape(verified.out) == shape(example("whole"))
    assert "no outside witness has seen" in Path("report.md").read_text()
    assert public_of(KEY).text in next(one for line, one in printed.items() if "signing list" in line).out
    assert '"whole": true' in Path("verdict.json").read_text()

    [script] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.setattr(sys, "argv", ["check.py", "./evidence", Path("key.txt").read_text()])
    capfd.readouterr()
    exec(compile(script, "check.py", "exec"), {})
    assert capfd.readouterr().out.split()[-1] in Path("verdict.json").read_text()

    operator.sign()
    assert told("audit", "export", "./evidence").code == 0
    after = told("audit", "verify", "./evidence", "--key", "@key.txt", "--witness", "kept.txt")
    assert after.code == 0 and " erased;" in after.out, "the erased log verifies"


def test_what_somebody_changed_is_told_as_the_page_shows_it(
    operator: Operator, told: Callable[..., Told], tmp_path: Path
) -> None:
    operator.decide("approve")
    operator.decide("deny")
    operator.sign()
    assert told("audit", "export", "./evidence").code == 0
    records, key = tmp_path / "evidence" / "records.jsonl", public_of(KEY).text
    raw = records.read_bytes()
    records.write_bytes(raw.replace(b'"verdict":"approve"', b'"verdict":"deny"', 1))
    found = told("audit", "verify", "./evidence", "--key", key)
    assert found.code == 1
    assert shape(found.out.splitlines()[0]) == shape(example("changed"))
    script = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0].replace("sys.argv[1]", repr("./evidence"))
    with pytest.raises(SystemExit, match="not whole"):
        exec(compile(script.replace("sys.argv[2]", repr(key)), "check.py", "exec"), {})


def test_exit_codes_are_those_of_the_page(operator: Operator, told: Callable[..., Told]) -> None:
    operator.decide("deny")
    operator.sign()
    assert told("audit", "export", "./evidence").code == 0
    key, other = public_of(KEY).text, public_of(SigningKey.generate("countersign.example.com/log")).text
    Path("kept.txt").write_text("nothing of the kind")
    for code, words in (
        (0, ["./evidence", "--key", key]),
        (0, ["./evidence", "--trust-exported-key"]),
        (1, ["./evidence", "--key", other]),
        (2, ["./evidence"]),
        (3, ["./elsewhere", "--key", key]),
        (3, ["./evidence", "--key", key, "--witness", "kept.txt"]),
    ):
        assert told("audit", "verify", *words).code == code, words
        assert f"| {code} |" in PAGE


def test_its_numbers_and_names_are_the_codes() -> None:
    for module, most in ((core, 250), (canonical, 80)):
        assert len(Path(module.__file__).read_text().splitlines()) < most
        assert re.search(rf"{Path(module.__file__).name}`[a-z ]*, under {most}", TEXT)
    assert f"every {notary.AFTER_RECORDS} records or {notary.AFTER.seconds} seconds" in TEXT
    assert f"{witnesses.LEAST_HEX} hex digits or more" in TEXT
    assert f'"{MARK}":"…"' in PAGE
    assert {f"`{one}`" for one in FLAGS} <= set(re.findall(r"`[a-z_]+`", TEXT.partition(" make no log bad")[0][-40:]))
    assert set(re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE)) == CODES.keys()


def test_what_it_names_exists() -> None:
    for words in re.findall(r"`pytest ([^`]+)`", PAGE):
        for path in words.partition(" -k")[0].split():
            assert (ROOT / path).exists(), path
    known = set(re.findall(r"^### ([a-z_.]+)$", (ROOT / "docs" / "records.md").read_text(), re.MULTILINE))
    parts = {one.partition(".")[0] for one in known}
    named = {one for one in re.findall(r"`([a-z_]+\.(?!txt)[a-z_]+)`", PAGE) if one.partition(".")[0] in parts}
    assert len(named) >= 8
    assert named <= known


def test_every_control_says_what_we_say_and_how_to_check_it() -> None:
    rows = re.findall(r"^\| ((?:SOC 2|NIST|EU AI).*?) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
    told = " ".join(control for control, _, _ in rows)
    for control in ("CC6.1", "CC6.2", "CC6.3", "CC7.2", "CC8.1", "AU-2", "AU-3", "AU-9(3)", "AU-10", "AU-11", "AU-12",
                    "AC-2(2)", "AC-2(3)", "AC-5", "AC-6(9)", "12", "14", "19", "26(6)"):  # fmt: skip
        assert control in told
    assert "**A mapping is not conformity.**" in PAGE
    assert "**unverified**" in PAGE
    assert all(len(check) > 20 for _, _, check in rows)
