"""What people type to name what is to be revoked, and what that hits."""

import pytest

from approvers.errors import Malformed
from approvers.targets import Target
from tests.worlds import samples

ROSTER = samples.book()[1]
REQUEST = samples.request().id


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("all", "all", ""), (" ALL ", "all", ""), ("K7QF", "grant", "K7QF"), ("k7qf", "grant", "k7qf"),
        ("actor:agent:report-bot", "actor", "agent:report-bot"), ("agent:report-bot", "actor", "agent:report-bot"),
        ("role:gone-since", "role", "gone-since"), ("analytics", "role", "analytics"),
        ("caller:report-bot", "principal", "caller:report-bot"), ("user:dana", "principal", "user:dana"),
        ("principal:caller:x", "principal", "caller:x"), ("Role:analytics", "role", "analytics"),
        ("grant:K7QF", "grant", "K7QF"), (REQUEST, "grant", REQUEST),
    ],
)  # fmt: skip
def test_what_people_type(text: str, kind: str, name: str):
    target = Target.parse(text, ROSTER)
    assert (target.kind, target.name) == (kind, name)
    assert Target.parse(str(target), ROSTER) == target


@pytest.mark.parametrize("text", ["", " ", "everything", "role:", "actor: ", ":x", "analytic", "all:", "grt_1", "K7Q"])
def test_what_could_mean_anything_is_refused_with_the_ways_to_say_it(text: str):
    with pytest.raises(Malformed, match="role:NAME") as caught:
        Target.parse(text, ROSTER)
    assert caught.value.field == "target"


def test_a_roles_bare_name_needs_a_roster():
    with pytest.raises(Malformed):
        Target.parse("analytics")
    assert Target.parse("role:analytics") == Target("role", "analytics")


@pytest.mark.parametrize(
    ("kind", "name"),
    [("all", "x"), ("role", ""), ("everyone", "x"), ("role", "a\nb"), ("role", "x" * 201), ("role", " a")],
)
def test_a_target_is_whole_however_it_is_made(kind: str, name: str):
    with pytest.raises(Malformed):
        Target(kind, name)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("all", True), ("role:analytics", True), ("role:analytic", False), ("agent:report-bot", True),
        ("agent:report", False), ("caller:report-bot", True), ("user:dana", False), (REQUEST, True),
        (REQUEST.replace("req_", "grt_"), True), (REQUEST[:-1] + "Z", False),
    ],
)  # fmt: skip
def test_what_it_hits(text: str, hit: bool):
    assert Target.parse(text).hits(samples.grant("ACTIVE")) == hit
    assert Target.parse(text).wide == (not text.startswith(("req_", "grt_")))
