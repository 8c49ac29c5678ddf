"""The minted secret and token are nowhere but with their caller: raw, base64, URL- and JSON-escaped, in every place.

A canary is planted in each place first, and must be found there: the search works, or its silence would say nothing.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.story.town import Town, grant_of, town
from tests.worlds.gate import Call


def spellings(secret: str) -> Iterator[bytes]:
    """Yield every form in which a secret could lie about."""
    raw = secret.encode()
    yield raw
    yield quote(secret, safe="").encode()
    yield json.dumps(secret)[1:-1].encode()
    yield json.dumps(secret)[1:-1].replace("/", "\\/").encode()
    for shift in range(3):  # wherever it begins in a longer text that was encoded as a whole
        whole = base64.b64encode(b"\0" * shift + raw)
        inner = whole[4 if shift else 0 : -4]  # the first and last quantum may mix with neighbours
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def found_in(place: bytes, secret: str) -> bool:
    return any(form in place for form in spellings(secret))


def disk(of: Town) -> bytes:
    """Return every byte of the server's append-only file and of a fresh snapshot, written without compression."""
    with of.valkey.client() as client:
        client.config_set("rdbcompression", "no")
        client.save()
    return b"".join(path.read_bytes() for path in sorted(of.valkey.data_dir.rglob("*")) if path.is_file())


def jobs(of: Town) -> bytes:
    """Return what RQ keeps of every job, its tracebacks and results, inflated where RQ deflates them."""
    found: list[bytes] = []
    with of.valkey.client() as client:
        for key in client.scan_iter("rq:*"):
            kind = client.type(key)
            if kind in (b"hash", "hash"):
                found += [part for pair in client.hgetall(key).items() for part in pair]
            elif kind in (b"stream", "stream"):
                found += [part for _, entry in client.xrange(key) for pair in entry.items() for part in pair]
            else:
                found.append(client.dump(key) or b"")  # it may have ended since the scan
    for value in list(found):
        for packed in (value, _unbased(value)):
            with contextlib.suppress(zlib.error):
                found.append(zlib.decompress(packed))
    return b"\n".join(found)


def _unbased(value: bytes) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return b""


def metrics(of: Town) -> bytes:
    with urllib.request.urlopen(f"{of.base_url}/metrics") as answer:
        return answer.read()


def outputs(of: Town) -> bytes:
    return of.web.output + of.worker.output + of.clock.output


def console(of: Town) -> bytes:
    """Return every page of the console, and of each the part that updates itself."""
    pages = ["/console/", "/console/policy", *(f"/console/requests/{one}" for one in of.requests)]
    return b"".join(of.pages(*pages))


PLACES: dict[str, Callable[[Town], bytes]] = {
    "the server's files (AOF and RDB)": disk,
    "DEBUG output of web, worker and clock": outputs,
    "RQ's jobs, tracebacks and results": jobs,
    "/metrics": metrics,
    "every body that the API answered, but the credential's own": lambda of: b"".join(of.bodies),
    "every page of the console": console,
}


def plant(of: Town, canaries: dict[str, str]) -> None:
    """Put one canary into each place by the way in which things get there, each in another spelling."""
    disk_, output, job, counter, body, page = canaries.values()
    with of.valkey.client() as client:
        client.set("canary", base64.b64encode(b"some words before " + disk_.encode() + b" and after"))
        client.hset("rq:job:canary", "exc_info", zlib.compress(json.dumps({"said": job}).encode()))
        client.hset("{cs}:stats", f"alerts:{counter}", 1)
    with (of.folder / "out" / "bot.stderr").open("a") as stderr:
        stderr.write(quote(output, safe="") + "\n")
    planted = of.ask(reason=f"a reason with {body} and {page}")["id"]
    of.call("report-bot", "GET", f"/v1/audit/{planted}")
    of.requests.append(planted)


@pytest.mark.timeout(200)
def test_the_secret_is_nowhere_but_with_its_caller(tmp_path: Path):
    with town(tmp_path) as of:
        live, ended, failed = of.approved(), of.approved(), of.approved()
        of.requests = [live, ended, failed]
        of.wait_grant(failed, "ACTIVE")
        secrets = {request: collect(of, request) for request in (live, ended)}
        of.revoke(ended)
        of.wait_grant(ended, "REVOKED")
        break_a_job(of)
        for request in of.requests:
            of.call("report-bot", "GET", f"/v1/audit/{request}")
        issued = [one for many in of.issued().values() for one in many]
        assert {one.secret_access_key for one in issued} >= {one["secret_access_key"] for one in secrets.values()}
        canaries = {name: f"CANARY/{number}+{secrets_token()}" for number, name in enumerate(PLACES)}
        plant(of, canaries)
        for name, look in PLACES.items():
            place = look(of)
            assert len(place) > 500, f"there is hardly anything to search in: {name}"
            assert found_in(place, canaries[name]), f"the search is blind in: {name}"
            for one in [*issued, *of.aws_gate.issued]:
                assert not found_in(place, one.secret_access_key), f"a secret key lies in: {name}"
                assert not found_in(place, one.session_token), f"a session token lies in: {name}"


def collect(of: Town, request: str) -> dict[str, str]:
    """Collect a credential as its caller; this one answer holds the secret by design and is not searched."""
    got = of.call("report-bot", "POST", f"/v1/grants/{grant_of(request)}/credential")
    of.bodies.pop()
    assert of.call("report-bot", "POST", f"/v1/grants/{grant_of(request)}/credential") == got
    of.bodies.pop()
    return got


def break_a_job(of: Town) -> None:
    """Let a mint's job die with a traceback while it holds the secret: its outcome's commit gets an absurd answer."""
    of.worker_gate.answer(1, b"$6\r\nabsurd\r\n", only=is_delivery)
    request = of.approved()
    of.requests.append(request)
    of.worker.wait_line("exception raised while executing")
    of.wait_grant(request, "REVOKED")
    assert b"Traceback" in jobs(of), "no job has failed: there is no traceback to search"


def is_delivery(call: Call) -> bool:
    """Tell whether a call is the commit that makes a grant ACTIVE."""
    return call.name == "EVALSHA:commit" and any(b'"state":"ACTIVE"' in word for word in call.request)


def secrets_token() -> str:
    return base64.b64encode(os.urandom(24)).decode()
