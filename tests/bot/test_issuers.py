"""Callers that prove themselves by a token: a bad one is refused, a good one is one caller, keys are read with care."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bot import issuers_keys
from bot.issuers import Tokens
from bot.problems import Problem, Unauthenticated
from tests.worlds import samples
from tests.worlds.issuer import AUDIENCE, DISCOVERY, KEYS, IssuerWorld, Key, issuer_world, rsa_key
from tests.worlds.web import Web
from workers import logs
from workers.policies import Policies, apply
from workers.stores import layout
from workers.stores.memory import memory_store
from workers.stores.port import Store

OTHER = "https://ci.example.com"


def roster_for(url: str, *, more: str = "", claims: str = 'repository_id = "456789", ref = "refs/heads/main"') -> str:
    """Return the roster with a pipeline that proves itself by this issuer's tokens."""
    return (
        samples.ROSTER_TEXT
        + f"""
[issuer.github]
url = "{url}"
audience = "{AUDIENCE}"
{more}
[issuer.other]
url = "{OTHER}"
audience = "{AUDIENCE}"
[caller.deploy]
kind = "pipeline"
owners = ["user:dana"]
actors = ["pipeline:deploy"]
token = {{ issuer = "github", claims = {{ {claims} }} }}
"""
    )


POLICY = (
    samples.POLICY_TEXT
    + """
[rule.allow-ci]
effect = "allow"
until = 2027-05-31
owner = "sre"
note = "Main deploys to staging."
[rule.allow-ci.when]
issuer = ["github"]
repository_id = ["456789"]
ref = ["refs/heads/main"]
action = ["ecs:DescribeServices"]
risk_below = "critical"
"""
)
DEPLOY = {
    "action": "ecs:DescribeServices", "resource": "arn:aws:ecs:eu-central-1:000000000000:service/shop/web",
    "environment": "staging", "reason": "Release 4.2.0 to staging, tests are green", "ttl_seconds": 900,
    "actor": {"id": "pipeline:deploy"},
}  # fmt: skip


@pytest.fixture
async def github() -> AsyncIterator[IssuerWorld]:
    async with issuer_world() as world:
        yield world


class Door:
    """Judge tokens by a roster that can change, with a clock that the test turns."""

    def __init__(self, world: IssuerWorld) -> None:
        self.world, self.now = world, 0.0
        self.store: Store = memory_store()
        self.policies = Policies(self.store.records, self.store.signals)
        self.tokens = Tokens(self.policies, clock=lambda: self.now)

    async def apply(self, roster: str) -> Door:
        await apply(self.store.records, policy=samples.POLICY_TEXT, roster=roster, by="user:kim", why="test")
        await self.policies.refresh()
        return self

    async def refused(self, token: str) -> str:
        with pytest.raises(Unauthenticated) as caught:
            await self.tokens.identify(token)
        return caught.value.detail


@pytest.fixture
async def door(github: IssuerWorld) -> AsyncIterator[Door]:
    made = await Door(github).apply(roster_for(github.url))
    yield made
    await made.tokens.aclose()


def by_hand(head: Mapping[str, Any], claims: Any, signature: bytes = b"") -> str:
    parts = [json.dumps(head).encode(), json.dumps(claims).encode(), signature]
    return ".".join(jwt.utils.base64url_encode(part).decode() for part in parts)


def hs256(world: IssuerWorld) -> str:
    """Sign with HMAC over the public key, as in the classic confusion of algorithms."""
    unsigned = by_hand({"alg": "HS256", "kid": "key-1"}, world.claims()).rpartition(".")[0]
    digest = hmac.new(world.signing.public_pem(), unsigned.encode(), hashlib.sha256).digest()
    return f"{unsigned}.{jwt.utils.base64url_encode(digest).decode()}"


def flipped(world: IssuerWorld) -> str:
    head, body, signature = world.token().split(".")
    claims = jwt.decode(world.token(), options={"verify_signature": False}) | {"repository_id": "1"}
    del body
    return ".".join([head, jwt.utils.base64url_encode(json.dumps(claims).encode()).decode(), signature])


def foreign(world: IssuerWorld) -> Key:
    return Key(world.signing.kid, rsa_key(99))


def now(seconds: int = 0) -> int:
    return int(time.time()) + seconds


BAD: dict[str, tuple[Any, str]] = {
    "alg none": (lambda w: by_hand({"alg": "none", "kid": "key-1"}, w.claims()), "header"),
    "alg none, spelled another way": (lambda w: by_hand({"alg": "nOnE", "kid": "key-1"}, w.claims()), "header"),
    "no alg": (lambda w: by_hand({"kid": "key-1"}, w.claims()), ""),
    "HS256 with the public key": (hs256, "header"),
    "PS256": (lambda w: jwt.encode(w.claims(), w.signing.private, "PS256", headers={"kid": "key-1"}), "header"),
    "no signature": (lambda w: w.token().rpartition(".")[0] + ".", "cannot be verified"),
    "other claims under the signature": (flipped, "cannot be verified"),
    "somebody's key under our kid": (lambda w: w.token(key=foreign(w)), "cannot be verified"),
    "unknown kid": (lambda w: w.token(head={"kid": "key-9"}), "no key"),
    "no kid": (lambda w: w.token(head={"kid": None}), "header"),
    "kid is a number": (lambda w: by_hand({"alg": "RS256", "kid": 7}, w.claims(), b"x"), ""),
    "jku": (lambda w: w.token(key=foreign(w), head={"jku": w.url + "/evil"}), "header"),
    "x5u": (lambda w: w.token(head={"x5u": w.url + "/evil"}), "header"),
    "its own key in the header": (lambda w: w.token(key=foreign(w), head={"jwk": foreign(w).jwk()}), "header"),
    "crit": (lambda w: by_hand({"alg": "RS256", "kid": "key-1", "crit": ["x"]}, w.claims(), b"x"), ""),
    "wrong audience": (lambda w: w.token(aud="https://github.com/acme"), "audience"),
    "audience in other case": (lambda w: w.token(aud=AUDIENCE.upper()), "audience"),
    "us and a stranger as audience": (lambda w: w.token(aud=[AUDIENCE, "https://evil.example"]), "one audience"),
    "us twice as audience": (lambda w: w.token(aud=[AUDIENCE, AUDIENCE]), "one audience"),
    "no audience": (lambda w: w.token(aud=None), "lacks"),
    "audience is null": (lambda w: by_hand({"alg": "RS256", "kid": "key-1"}, w.claims() | {"aud": None}, b"x"), ""),
    "wrong issuer": (lambda w: w.token(iss="https://evil.example"), "does not name"),
    "issuer with a slash more": (lambda w: w.token(iss=w.url + "/"), "does not name"),
    "no issuer": (lambda w: w.token(iss=None), "does not name"),
    "no exp": (lambda w: w.token(exp=None), "lacks"),
    "no iat": (lambda w: w.token(iat=None), "lacks"),
    "no sub": (lambda w: w.token(sub=None), "lacks"),
    "empty sub": (lambda w: w.token(sub=""), "cannot be verified"),
    "expired": (lambda w: w.token(iat=now(-600), exp=now(-60)), "expired"),
    "an exp a year away": (lambda w: w.token(exp=now(365 * 86_400)), "max_age"),
    "a second more than max_age": (lambda w: w.token(iat=now(-10), exp=now(3591)), "max_age"),
    "exp before iat": (lambda w: w.token(iat=now(20), exp=now(10)), "max_age"),
    "issued in the future": (lambda w: w.token(iat=now(120), exp=now(400)), "not valid yet"),
    "not before in the future": (lambda w: w.token(nbf=now(120)), "not valid yet"),
    "exp is text": (lambda w: w.token(exp=str(now(300))), ""),
    "exp is a list": (lambda w: by_hand({"alg": "RS256", "kid": "key-1"}, w.claims() | {"exp": []}, b"x"), ""),
    "exp is not a number": (lambda w: w.token(exp=float("nan")), ""),
    "exp is without end": (lambda w: w.token(exp=float("inf")), ""),
    "another repository": (lambda w: w.token(repository_id="456780"), "claims are those of no caller"),
    "another branch": (lambda w: w.token(ref="refs/heads/main2"), "claims are those of no caller"),
    "repository as a number": (lambda w: w.token(repository_id=456789), "claims are those of no caller"),
    "repository as a list": (lambda w: w.token(repository_id=["456789"]), "claims are those of no caller"),
    "no ref": (lambda w: w.token(ref=None), "claims are those of no caller"),
    "half a character in a claim": (lambda w: w.token(actor="\ud800"), "cannot be recorded"),
    "a line break in a claim": (lambda w: w.token(sub="a\nb"), "cannot be recorded"),
    "a claim without end": (lambda w: w.token(sub="x" * 501), "cannot be recorded"),
    "claims are a list": (lambda w: by_hand({"alg": "RS256", "kid": "key-1"}, [1], b"x"), "cannot be verified"),
    "claims are deep": (lambda w: "e30." + jwt.utils.base64url_encode(b"[" * 5000).decode() + ".x", ""),
    "too long": (lambda w: w.token(pad="x" * 8000), "too long"),
    "not a token": (lambda w: "a.b.c", "cannot be verified"),
    "empty parts": (lambda w: "..", "cannot be verified"),
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_token_is_refused_in_words(door: Door, kind: str):
    make, says = BAD[kind]
    assert says in await door.refused(make(door.world))
    assert not door.world.strange  # nothing is read from where a token points
    assert (await door.tokens.identify(door.world.token())).principal == "caller:deploy"


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_a_small_key_is_refused_though_its_issuer_publishes_it(door: Door):
    door.world.rotate(Key("small", rsa_key(1, 1024)))
    assert "cannot be verified" in await door.refused(door.world.token())


async def test_another_issuers_key_proves_nothing(door: Door):
    async with issuer_world() as second:
        second.keys = [Key("key-1", rsa_key(50))]
        more = f'[issuer.second]\nurl = "{second.url}"\naudience = "{AUDIENCE}"\n'
        await door.apply(roster_for(door.world.url) + more)
        assert "cannot be verified" in await door.refused(second.token(iss=door.world.url))
        assert "claims are those of no caller" in await door.refused(second.token())


@pytest.mark.parametrize(
    ("curve", "algorithm"), [(ec.SECP256R1(), "ES256"), (ec.SECP384R1(), "ES384")], ids=["P-256", "P-384"]
)
async def test_elliptic_keys_are_taken_for_their_own_algorithm(door: Door, curve: Any, algorithm: str):
    door.world.rotate(Key("curved", ec.generate_private_key(curve), algorithm))
    assert (await door.tokens.identify(door.world.token())).principal == "caller:deploy"


async def test_a_key_verifies_only_by_the_algorithm_it_says(door: Door):
    token = jwt.encode(door.world.claims(), door.world.signing.private, "RS512", headers={"kid": "key-1"})
    assert "cannot be verified" in await door.refused(token)


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE]], ids=["text", "list of one"])
async def test_a_good_token_is_one_caller_with_its_claims(door: Door, audience: Any):
    who = await door.tokens.identify(door.world.token(aud=audience))
    assert (who.principal, who.scopes, who.via) == ("caller:deploy", {"request"}, "api")
    assert (who.by.person, who.by.iss) == ("caller:deploy", door.world.url)
    assert who.by.sub.startswith("repo:acme@1/shop@456789")
    shown = {name: who.claims[name] for name in ("issuer", "repository_id", "ref", "workflow", "actor_id", "run_id")}
    assert shown == {
        "issuer": "github", "repository_id": "456789", "ref": "refs/heads/main", "actor_id": "583231", "run_id": "77",
        "workflow": "acme/shop/.github/workflows/ship.yml@refs/heads/main",
    }  # fmt: skip
    assert who.proof == {layout.ROSTER: 1}


async def test_a_token_for_two_callers_is_for_none(door: Door):
    twin = """
[caller.twin]
kind = "pipeline"
owners = ["user:dana"]
actors = ["pipeline:twin"]
token = { issuer = "github", claims = { event_name = "push", run_id = "77" } }
"""
    await door.apply(roster_for(door.world.url) + twin)
    assert "caller:deploy and caller:twin" in await door.refused(door.world.token())
    assert (await door.tokens.identify(door.world.token(run_id="78"))).principal == "caller:deploy"


async def test_keys_are_read_once_and_a_new_one_is_found_at_once(door: Door):
    for _ in range(3):
        await door.tokens.identify(door.world.token())
    assert door.world.calls == {DISCOVERY: 1, KEYS: 1}
    door.world.rotate()
    await door.tokens.identify(door.world.token())
    assert door.world.calls[KEYS] == 2


async def test_made_up_keys_make_nobody_hammer_the_issuer(door: Door):
    tokens = [door.world.token(head={"kid": f"guess-{n}"}) for n in range(20)]
    await asyncio.gather(*(door.refused(token) for token in tokens))
    for token in tokens:
        await door.refused(token)
    assert door.world.calls[KEYS] <= 2
    door.world.rotate()
    await door.refused(door.world.token())
    door.now = issuers_keys.GAP_SECONDS + 1
    await door.tokens.identify(door.world.token())


async def test_a_key_that_its_issuer_took_back_is_good_for_five_minutes_at_most(door: Door):
    token = door.world.token()
    await door.tokens.identify(token)
    door.world.rotate()
    door.world.keys[0].published = False
    door.now = issuers_keys.RENEW_SECONDS - 1
    await door.tokens.identify(token)
    door.now = issuers_keys.RENEW_SECONDS + 1
    assert "no key" in await door.refused(token)


@pytest.mark.parametrize("trouble", [500, 404, "html", "huge", "deep", "redirect"])
async def test_an_issuer_that_cannot_be_read_has_said_nothing(door: Door, trouble: Any):
    door.world.trouble = trouble
    with pytest.raises(Problem) as caught:
        await door.tokens.identify(door.world.token())
    assert caught.value.code == "not_checked"
    assert "/elsewhere" not in door.world.calls
    door.world.trouble = None
    door.now = issuers_keys.EMPTY_GAP_SECONDS + 1
    assert (await door.tokens.identify(door.world.token())).principal == "caller:deploy"


async def test_a_copy_serves_while_the_issuer_is_away_and_no_longer_than_an_hour(door: Door):
    await door.tokens.identify(door.world.token())
    door.world.trouble = 503
    door.now = issuers_keys.STALE_SECONDS - 1
    await door.tokens.identify(door.world.token())
    door.now = issuers_keys.STALE_SECONDS + 5
    with pytest.raises(Problem, match="Nobody said no"):
        await door.tokens.identify(door.world.token())


async def test_a_hanging_issuer_holds_up_no_token_whose_key_is_known(door: Door):
    await door.tokens.identify(door.world.token())
    door.world.trouble = "hang"
    stuck = asyncio.create_task(door.refused(door.world.token(head={"kid": "guess"})))
    await door.world.hung.wait()
    await asyncio.wait_for(door.tokens.identify(door.world.token()), 1)
    assert not stuck.done()
    stuck.cancel()


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": OTHER},
        {"jwks_uri": "http://127.0.0.1:9/keys"},
        {"jwks_uri": "https://127.0.0.1/keys"},
        {"jwks_uri": 7},
        {"jwks_uri": "file:///etc/hosts"},
    ],
    ids=["other issuer", "other port", "other scheme", "number", "file"],
)
async def test_keys_are_read_from_the_issuers_own_host_alone(door: Door, metadata: dict[str, Any]):
    door.world.metadata = metadata
    with pytest.raises(Problem):
        await door.tokens.identify(door.world.token())
    assert door.world.calls == {DISCOVERY: 1}


async def test_keys_that_another_host_publishes_are_not_even_read(door: Door):
    async with issuer_world() as second:
        door.world.metadata = {"jwks_uri": second.url + KEYS}
        with pytest.raises(Problem, match="on another host; write it as keys"):
            await door.tokens.identify(second.token(iss=door.world.url))
        assert not second.calls


async def test_keys_may_be_named_by_the_roster_and_nothing_is_discovered_then(door: Door):
    door.world.metadata = {"issuer": OTHER}
    await door.apply(roster_for(door.world.url, more=f'keys = "{door.world.url}{KEYS}"'))
    await door.tokens.identify(door.world.token())
    assert door.world.calls == {KEYS: 1}


async def test_odd_entries_of_a_key_set_are_passed_over(door: Door):
    good = door.world.signing.jwk()
    door.world.extra = [None, 7, {}, {"kid": "x"}, {"kid": "y", "kty": "oct", "k": "c2VjcmV0"}, {**good, "n": "!"},
                        {**good, "use": "enc"}, {**good, "alg": "none"}, {**good, "kty": "OKP"}]  # fmt: skip
    await door.tokens.identify(door.world.token())
    unsigned = by_hand({"alg": "HS256", "kid": "y"}, door.world.claims()).rpartition(".")[0]
    digest = hmac.new(b"secret", unsigned.encode(), hashlib.sha256).digest()
    await door.refused(f"{unsigned}.{jwt.utils.base64url_encode(digest).decode()}")


async def test_the_longest_life_is_the_rosters(door: Door):
    await door.apply(roster_for(door.world.url, more='max_age = "4m"'))
    assert "max_age of 4 min" in await door.refused(door.world.token())
    await door.tokens.identify(door.world.token(exp=now(200)))


# --- through the API


@pytest.fixture
async def town(github: IssuerWorld) -> AsyncIterator[Web]:
    store = memory_store()
    async with Web.over(store, policy="") as web:
        await apply(store.records, policy=POLICY, roster=roster_for(github.url), by="user:kim", why="tokens")
        await web.deps.policies.refresh()
        yield web


async def deploy(web: Web, token: str, key: str = "k1") -> Any:
    web.keys["job"] = token
    return await web.call("POST", "/v1/requests", who="job", headers={"Idempotency-Key": key}, json=DEPLOY)


async def test_an_allow_rule_opens_for_the_right_token_alone(town: Web, github: IssuerWorld):
    got = await deploy(town, github.token())
    assert (got.status, got.json["state"], got.json["because"]) == (200, "APPROVED", "rule")
    [submitted, *_] = await town.records(got.json["id"])
    facts = submitted["data"]["facts"]
    assert (facts["issuer"], facts["repository_id"], facts["ref"]) == ("github", "456789", "refs/heads/main")
    assert facts["workflow"].endswith("ship.yml@refs/heads/main")
    assert submitted["data"]["proof"]["actor_id"] == "583231"
    assert submitted["by"] == {"person": "caller:deploy", "iss": github.url, "sub": github.claims()["sub"]}
    again = await deploy(town, github.token(jti="j-2"))
    assert again.json["id"] == got.json["id"]  # the key stands for the principal, not for one token


async def test_the_same_caller_with_other_claims_waits_for_people(town: Web, github: IssuerWorld):
    wide = roster_for(github.url, claims='repository_id = "456789"')
    await apply(town.store.records, policy=None, roster=wide, by="user:kim", why="any branch")
    await town.deps.policies.refresh()
    got = await deploy(town, github.token(ref="refs/heads/next"))
    assert (got.status, got.json["state"]) == (202, "PENDING")
    assert (await deploy(town, github.token(), "k2")).json["state"] == "APPROVED"


async def test_a_bad_token_is_401_and_counted_as_a_strangers(town: Web, github: IssuerWorld):
    got = await deploy(town, github.token(aud="https://github.com/acme"))
    assert (got.status, got.code) == (401, "unauthenticated")
    assert "audience" in got.json["detail"]
    assert [one["type"] for one in await town.refusals()] == ["sign_in.refused"]


async def test_a_silent_issuer_is_503(town: Web, github: IssuerWorld):
    github.trouble = 500
    got = await deploy(town, github.token())
    assert (got.status, got.code) == (503, "not_checked")
    assert got.headers["Retry-After"]


async def test_who_started_the_job_does_not_approve_it(town: Web, github: IssuerWorld):
    text = roster_for(github.url).replace("[person.alex]\n", '[person.alex]\ntokens = { github = "583231" }\n')
    await apply(town.store.records, policy=samples.POLICY_TEXT, roster=text, by="user:kim", why="accounts")
    await town.deps.policies.refresh()
    asked = (await deploy(town, github.token())).json
    assert asked["state"] == "PENDING"
    [submitted] = await town.records(asked["id"])
    assert submitted["data"]["proof"]["started_by"] == "user:alex"
    got = await town.review(asked["id"], "alex")
    assert (got.status, got.code) == (403, "four_eyes")
    assert (await town.review(asked["id"], "robin")).status == 200
    claimed = await door_token(town, github.token(started_by="user:robin", actor_id="1"))
    assert "started_by" not in claimed.claims  # what a token calls so is nothing


async def door_token(web: Web, token: str) -> Any:
    return await web.deps.tokens.identify(token)


async def test_a_token_may_ask_and_nothing_else(town: Web, github: IssuerWorld):
    asked = (await town.ask()).json["id"]
    town.keys["job"] = github.token()
    body = {"verdict": "approve"}
    got = await town.call("POST", f"/v1/requests/{asked}/reviews", who="job", json=body)
    assert (got.status, got.code) == (403, "missing_scope")


async def test_a_roster_that_this_process_has_not_heard_of_counts_in_the_commit(town: Web, github: IssuerWorld):
    old = Policies(town.store.records, town.store.signals)
    await old.refresh()
    town.deps.tokens._policies = old  # follows nothing, as where the hint was lost
    assert (await deploy(town, github.token())).status == 200
    moved = roster_for(github.url, claims='repository_id = "456780"')
    await apply(town.store.records, policy=None, roster=moved, by="user:kim", why="another repository")
    got = await deploy(town, github.token(), "k2")
    assert (got.status, got.code) == (401, "unauthenticated")
    assert "claims are those of no caller" in got.json["detail"]


async def test_a_token_is_in_no_log(github: IssuerWorld):
    token = github.token()
    assert token not in logs.scrub(f"GET /x?{token} {token}")
    assert "eyJ" not in logs.scrub(f"Bearer {token}")
