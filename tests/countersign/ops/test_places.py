"""Each place of a file leads to the line where a person has to look, however the file is written."""

import tomllib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers.faults import spell_place
from countersign.ops.places import line_of, places

TEXT = '''# 1
version = 1
[limits]
ttl_default = "15m"
ttl_max = { default = "2h", prod = "1h", "Permissions management" = "30m" }

[rule.deny-deletes]
effect = "deny"  # [rule.fake]
note = """
[rule.inside]
effect = "nothing"
quotes = \\""" and "" here""""
when = { action = ["*:Delete*"] }
[rule."quoted.name"]
effect = "deny"
[group]
sre.people = ["dana"]
[[delegation]]
from = "user:dana"
[[delegation]]
from = "user:alex"
[ladder.page]
levels = [  # three of them
  { after = "0m", ask = ["group:sre"] },
  # nobody yet
  { after = "3m", ask = [
      "group:db",
      'place:prod' ] } ,
]
[ladder.page.more]
[[one.two]]
[one.two.three]
four = '''
TEXT += "'''\n]] = x'''\nfive = 1979-05-27T07:32:00Z # six = 6\n"


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("version", 2),
        ("limits", 3),
        ("limits.ttl_default", 4),
        ("limits.ttl_max.prod", 5),
        ("limits.ttl_max.Permissions management", 5),
        ("rule.deny-deletes", 7),
        ("rule.deny-deletes.effect", 8),
        ("rule.deny-deletes.owner", 7),  # it is missing: where it belongs
        ("rule.deny-deletes.when.action[0]", 13),
        ("rule.deny-deletes.when.action[7]", 13),
        ("rule.inside.effect", 7),  # text, not a table: where rules begin
        ("rule.quoted.name.effect", 15),
        ("group.sre.people[0]", 17),
        ("delegation", 18),  # the first of its kind
        ("delegation[0].from", 19),
        ("delegation[1].from", 21),
        ("delegation[1].to", 20),
        ("ladder", 22),
        ("ladder.page.levels", 23),
        ("ladder.page.levels[0].ask[0]", 24),
        ("ladder.page.levels[1].after", 26),
        ("ladder.page.levels[1].ask[0]", 27),
        ("ladder.page.levels[1].ask[1]", 28),
        ("ladder.page.levels[1].may_fill", 26),
        ("ladder.page.more", 30),
        ("one.two[0].three.four", 33),
        ("one.two[0].three.five", 35),
        ("line 7, column 3", 7),
        ("default_quorum", 1),
        ("the file", 1),
    ],
)
def test_a_place_is_found_at_its_line(place: str, line: int) -> None:
    assert line_of(TEXT, place) == line


def test_a_text_that_is_no_toml_has_its_own_line_and_no_places() -> None:
    assert places("a = [") == {}
    assert line_of("\n\na = [", "a") == 1


NAMES = st.sampled_from(["a", "b-1", "_c", "two words", "dot.ted", "é", '"', "7"])
SCALARS = st.one_of(st.integers(0, 99), st.booleans(), st.sampled_from(["x", "[t]", "a = 1", "#", '"', "é\\", "{,}"]),
                    st.just(date(2027, 5, 31)))  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)


class Writing:
    """Write values as TOML in every form there is, and keep the line on which each place was begun."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw, self.text, self.lines = draw, "", dict[str, int]()

    def put(self, text: str) -> None:
        self.text += text

    def note(self, path: tuple[str | int, ...]) -> None:
        self.lines.setdefault(spell_place(path), self.text.count("\n") + 1)

    def gap(self, *more: str) -> None:
        self.put(self.draw(st.sampled_from(["", " ", "\t ", *more])))

    def break_(self) -> None:
        self.gap("\n", "  # ] } = [x]\n", "\r\n\n")

    def key(self, name: str) -> None:
        quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        bare = name.isascii() and all(char.isalnum() or char in "-_" for char in name)
        forms = [quoted, *([name] if bare else []), *([f"'{name}'"] if "'" not in name else [])]
        self.put(self.draw(st.sampled_from(forms)))

    def value(self, path: tuple[str | int, ...], value: object) -> None:
        if isinstance(value, dict):
            self.inline(path, value)
        elif isinstance(value, list):
            self.array(path, value)
        elif isinstance(value, str):
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            self.put(self.draw(st.sampled_from([f'"{escaped}"', f'"""{escaped}"""', f'"""\n{escaped}"""'])))
        else:
            self.put(str(value).lower())

    def inline(self, path: tuple[str | int, ...], value: dict[str, object]) -> None:
        self.put("{")
        for index, (name, one) in enumerate(value.items()):
            self.put(", " if index else "")
            self.gap()
            self.pair(path, name, one)
        self.put(" }")

    def array(self, path: tuple[str | int, ...], value: list[object]) -> None:
        self.put("[")
        for index, one in enumerate(value):
            self.break_()
            self.note((*path, index))
            self.value((*path, index), one)
            self.break_()
            self.put("," if index + 1 < len(value) or self.draw(st.booleans()) else "")
        self.break_()
        self.put("]")

    def pair(self, path: tuple[str | int, ...], name: str, value: object) -> None:
        self.note((*path, name))
        self.key(name)
        if isinstance(value, dict) and len(value) == 1 and self.draw(st.booleans()):
            self.gap()
            self.put(".")
            self.gap()
            ((inner, one),) = value.items()
            self.pair((*path, name), inner, one)
            return
        self.gap()
        self.put("=")
        self.gap()
        self.value((*path, name), value)

    def table(self, path: tuple[str, ...], value: dict[str, object]) -> None:
        self.note(path)
        self.put("[")
        for index, name in enumerate(path):
            self.put(" . " if index else "")
            self.key(name)
        self.put("]\n")
        self.body(path, value)

    def body(self, path: tuple[str, ...], value: dict[str, object]) -> None:
        tables = [name for name, one in value.items() if isinstance(one, dict) and self.draw(st.booleans())]
        for name in [one for one in value if one not in tables]:
            self.gap()
            self.pair(path, name, value[name])
            self.put(self.draw(st.sampled_from(["\n", " # a = 1\n", "\r\n\n"])))
        for name in tables:
            self.table((*path, name), value[name])  # type: ignore[arg-type]


@given(st.data(), st.dictionaries(NAMES, VALUES, max_size=4))
def test_each_key_and_element_of_a_generated_file_is_found_at_its_line(
    data: st.DataObject, value: dict[str, object]
) -> None:
    writing = Writing(data.draw)
    writing.body((), value)
    assert tomllib.loads(writing.text) == value
    assert places(writing.text) == writing.lines
