"""Hold README.md and docs/ to the code: tables, documents, commands, links, the picture."""

from __future__ import annotations

import re
import shlex
import struct
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

import countersign
from approvers.policy import parse_policy
from approvers.roster import parse_roster
from approvers.ruling import rule
from approvers.tagging import keys_of
from bot.schedules import Answer
from countersign.cli import AUDIT, OPERATORS, build
from countersign.errors import CANCELLED, DENIED, EXPIRED, OTHER, OUR_FAULT
from countersign.run import BEFORE_COMMAND, ENDED_UNDER_IT
from tests.readme_tables import FILES, TABLES, filled, found
from tests.worlds import samples
from workers.config import describe
from workers.providers import documents

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TEXTS = {name: (ROOT / name).read_text() for name in FILES}


@pytest.mark.parametrize("name", FILES)
def test_tables_and_documents_are_the_codes(name: str) -> None:
    assert TEXTS[name] == filled(TEXTS[name]), "run: python -m tests.readme_tables"


def test_every_table_is_shown_somewhere() -> None:
    shown = {table for text in TEXTS.values() for table in found(text)}
    assert shown == set(TABLES)
    assert {"requests", "grants", "settings"} <= set(found(README))


def commands(text: str) -> list[list[str]]:
    """Return the words of every `countersign …` line in the text's shell blocks."""
    lines = []
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        joined = block.replace("\\\n", " ")
        lines += [shlex.split(line.partition(" > ")[0], comments=True) for line in joined.splitlines()]
    return [words for words in lines if words[:1] == ["countersign"]]


EXAMPLES = [words for text in TEXTS.values() for words in commands(text)]


def test_there_are_examples() -> None:
    assert {words[1] for words in EXAMPLES} >= {"run", "apply", "keys", "console", "doctor", "slack", "teams"}


@pytest.mark.parametrize("words", EXAMPLES, ids=[" ".join(words[1:3]) for words in EXAMPLES])
def test_an_example_has_a_command_and_its_options(words: list[str]) -> None:
    command: Any = typer.main.get_command(build(words[1]))
    assert words[1] not in ("run", "request") or "--actor" in words, "nobody may ask without saying who acts"
    rest = words[1:]
    context = command.make_context("countersign", list(rest), resilient_parsing=True)
    while hasattr(command, "get_command"):
        name, rest = rest[0], rest[1:]
        command = command.get_command(context, name)
        assert command is not None, f"there is no {name}"
        if not hasattr(command, "get_command"):
            command.make_context(name, list(rest))  # raises for an unknown option or a missing one
        else:
            context = command.make_context(name, list(rest), resilient_parsing=True)


def test_every_command_of_the_table_exists_and_is_built() -> None:
    rows = re.findall(r"^\| (`run`.*?|`demo`.*?) \|", README, re.MULTILINE)
    assert len(rows) == 2
    callers, operators = (re.findall(r"`([^`]+)`", row) for row in rows)
    command: Any = typer.main.get_command(build())
    for words in callers:
        assert words.split()[0] in command.commands
    assert {words.split()[0] for words in operators} == {*OPERATORS, "audit"}
    [below] = [words for words in operators if words.startswith("audit ")]
    assert set(below.removeprefix("audit ").split(", ")) <= set(AUDIT)


def test_exit_codes_are_the_codes() -> None:
    told = dict(re.findall(r"(\d) (denied|expired|cancelled|our fault|anything else)", README))
    assert {int(code): words for code, words in told.items()} == {
        DENIED: "denied",
        EXPIRED: "expired",
        CANCELLED: "cancelled",
        OUR_FAULT: "our fault",
        OTHER: "anything else",
    }
    assert f"same plus {BEFORE_COMMAND} before" in " ".join(README.split())
    assert f"and {ENDED_UNDER_IT} when the credential ended" in " ".join(README.split())


def test_make_targets_exist() -> None:
    targets = {words.split()[1] for words in re.findall(r"(?:^|`)(make [a-z]+)", README, re.MULTILINE)}
    assert targets == {"demo", "test"}
    for target in targets:
        told = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr


def test_it_says_what_it_is_in_five_sentences() -> None:
    paragraph = " ".join(README.split("\n\n")[1].split())
    assert len(re.findall(r"[.!?](?:\*\*)?(?= |$)", paragraph)) == 6  # the motto, and five


@pytest.mark.parametrize("name", FILES)
def test_links_lead_somewhere(name: str) -> None:
    text, folder = TEXTS[name], (ROOT / name).parent
    for link in re.findall(r"\]\(([^)]+)\)", text):
        page, _, place = link.partition("#")
        assert (folder / page).exists(), link
        heads = re.findall(r"^#+ (.*)$", (folder / page).read_text() if page else text, re.MULTILINE) if place else []
        assert not place or place in {re.sub(r"[^a-z0-9 -]", "", one.lower()).replace(" ", "-") for one in heads}, link


PICTURES = [
    (words, str((ROOT / name).parent.relative_to(ROOT) / path))
    for name, text in TEXTS.items()
    for words, path in re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", text)
]


def test_there_are_pictures_of_the_console_and_of_every_state_of_a_card() -> None:
    shown = [path for _, path in PICTURES]
    assert shown[0] == "docs/img/console.png"
    for state in ("card-phone", "card-live", "card-ended", "card-review", "review", "home"):
        assert f"docs/img/slack-{state}.png" in shown
    for state in ("card", "card-deny", "card-review", "card-live"):
        assert f"docs/img/teams-{state}.png" in shown


@pytest.mark.parametrize(("words", "path"), PICTURES, ids=[Path(path).stem for _, path in PICTURES])
def test_a_picture_is_a_picture_and_says_what_it_shows(words: str, path: str) -> None:
    raw = (ROOT / path).read_bytes()
    if path.endswith(".svg"):
        width, height = map(int, re.findall(r'viewBox="0 0 (\d+) (\d+)"', raw.decode())[0])
    else:
        assert raw[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", raw[16:24])
    assert width >= 500
    assert height >= 400
    assert len(words) >= 40


def test_the_roster_of_the_slack_guide_is_one_that_we_read() -> None:
    [example] = re.findall(r"```toml\n(.*?)```", TEXTS["docs/slack.md"], re.DOTALL)
    roster = parse_roster(example)
    assert roster.persons["dana"].slack_user == "U02ABCDEF"
    assert roster.persons["robin"].slack_team == "T01ABCDEF"
    assert roster.groups["sre"].slack
    assert roster.on_call_groups() == {"oncall"}
    assert not roster.places["prod"].shared
    assert not roster.slack.match_email
    assert roster.delegations[0].taker == "robin"


def test_the_roster_of_the_teams_guide_is_one_that_we_read() -> None:
    [example] = re.findall(r"```toml\n(.*?)```", TEXTS["docs/teams.md"], re.DOTALL)
    roster = parse_roster(example)
    tenant, _, object_id = str(roster.persons["dana"].teams).partition(":")
    assert [one.name for one in roster.by_teams(tenant, object_id.upper())] == ["dana"]
    assert roster.persons["robin"].slack_user
    assert str(roster.places["prod"].teams).endswith("@thread.tacv2")


def test_the_rosters_of_the_operating_guide_are_ones_that_we_read() -> None:
    ci, on_call, *_ = re.findall(r"```toml\n(.*?)```", TEXTS["docs/operating.md"], re.DOTALL)
    people = '[person.dana]\nemail = "dana@example.com"\n[person.robin]\n[group.sre]\npeople = ["dana"]\n'
    roster = parse_roster(people + ci + on_call)
    claims = {"repository_id": "456789", "ref": "refs/heads/main", "event_name": "push"}
    assert [one.name for one in roster.proven("github", claims)] == ["deploy"]
    assert roster.outside_groups == roster.on_call_groups() == {"db-oncall"}
    answer, *_ = re.findall(r"```json\n(.*?)```", TEXTS["docs/operating.md"], re.DOTALL)
    assert Answer.model_validate_json(answer).on_call == ["dana@example.com", "user:robin"]


def test_the_tags_of_the_operating_guide_are_read_and_decide() -> None:
    account, rules = re.findall(r"```toml\n(.*?)```", TEXTS["docs/operating.md"], re.DOTALL)[2:]
    name, role = re.findall(r'\[account\.([a-z-]+)\].*?\ntags += "(.*?)"', account, re.DOTALL)[0]
    assert (name, role.endswith(documents.TAG_READER)) == ("prod-payments", True)
    assert parse_roster(f'[person.dana]\n[group.sre]\npeople = ["dana"]\n{account}').accounts[name].tags == role
    policy = parse_policy(samples.POLICY_TEXT + rules)
    assert keys_of(policy) == ("data",)
    asked = samples.request(resource="arn:aws:s3:::r/x", data_classes=None, access=None).facts
    answers = {
        tags: rule(policy, asked.model_copy(update={"tag_keys": ("data",), "tags": (tags,)}), sha256="f" * 64).effect
        for tags in (None, (), ("data=pii",), ("data=public",))
    }
    assert answers == {None: "review", (): "allow", ("data=pii",): "review", ("data=public",): "allow"}


def test_every_slack_key_of_the_roster_is_described() -> None:
    for text in (README, TEXTS["docs/slack.md"]):
        for key in ("[person.", "[group.", "[place.", "[slack]", "[[delegation]]", "oncall = true", "match_email"):
            assert key in text


def test_every_slack_variable_is_explained_to_an_administrator() -> None:
    names = {row.name for row in describe() if "SLACK" in row.name and "API_URL" not in row.name}
    assert len(names) == 3
    assert {name for name in names if name in TEXTS["docs/slack.md"]} == names


def test_every_teams_variable_is_explained_to_an_administrator() -> None:
    names = {row.name for row in describe() if "TEAMS" in row.name}
    assert len(names) == 8
    assert {name for name in names if name in TEXTS["docs/teams.md"]} == names


def test_the_pinned_sdk_for_teams_is_said_to_be_at_its_end() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pinned = next(one for one in extras["teams"] if one.startswith("botbuilder"))
    for text in (README, TEXTS["docs/teams.md"]):
        assert pinned.replace("==", "` ") in text or pinned.partition("==")[2] in text
        assert "end of life" in text
        assert "microsoft-agents-hosting-core" in text


def test_the_toml_examples_are_toml_that_we_read() -> None:
    [example] = re.findall(r"```toml\n(.*?)```", TEXTS["docs/aws.md"], re.DOTALL)
    assert set(tomllib.loads(example)) == {"account", "role"}
    whole = '[person.dana]\nemail = "dana@example.com"\n[group.sre]\npeople = ["dana"]\n' + example
    assert parse_roster(whole).roles["analytics"].ceiling == ("s3:GetObject*", "s3:ListBucket")


def test_the_python_example_compiles_and_its_names_exist() -> None:
    [example] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    compile(example, "README.md", "exec")
    for name in re.findall(r"from countersign import (.*)", example)[0].split(", "):
        assert hasattr(countersign, name)


def test_what_was_shown_on_an_emulator_only_is_marked() -> None:
    assert "emulator only" in README
    assert "emulator only" in TEXTS["docs/aws.md"]
