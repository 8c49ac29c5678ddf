import pytest

from countersign.ops.places import line_of

TEXT = '''# 1
version = 1
[limits]
ttl_default = "15m"
ttl_max = { default = "2h",
  prod = "1h" }

[rule.deny-deletes]
effect = "deny"  # [rule.fake]
note = """
[rule.inside]
effect = "nothing"
"""
when = { action = ["*:Delete*"] }
[rule."quoted.name"]
effect = "deny"
[group]
sre.people = ["dana"]
[[delegation]]
from = "user:dana"
[[delegation]]
from = "user:alex"
'''


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("version", 2),
        ("limits", 3),
        ("limits.ttl_default", 4),
        ("limits.ttl_max.prod", 5),  # inside a table written in one: the line where that begins
        ("rule.deny-deletes", 8),
        ("rule.deny-deletes.effect", 9),
        ("rule.deny-deletes.owner", 8),  # it is missing: where it belongs
        ("rule.deny-deletes.when.action[0]", 14),
        ("rule.inside.effect", None),  # text, not a table
        ("rule.quoted.name.effect", None),
        ("group.sre.people[0]", 18),
        ("delegation[0].from", 20),
        ("delegation[1].from", 22),
        ("delegation[1].to", 21),
        ("delegation", 19),  # the first of its kind
        ("rule", 8),
        ("line 7, column 3", 7),
        ("the file", None),
    ],
)
def test_a_place_is_found_at_its_line(place: str, line: int | None) -> None:
    assert line_of(TEXT, place) == line
