"""Hold the Teams app's package to the code and to what Teams takes: commands, lengths, ids, icons, the zip."""

from __future__ import annotations

import io
import json
import re
import struct
import uuid
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from bot.surfaces import teams_ingress
from countersign.ops import icons
from countersign.ops.teamsapp import COMMANDS, PATH, PERMISSIONS, NoBot, address, manifest, package
from tests.countersign.ops.conftest import Command
from tests.readme_tables import chat_commands

BOT = "22222222-bbbb-4bbb-8bbb-222222222222"
URL = "https://countersign.example.com"
MADE = manifest(BOT, URL)
REQUIRED = {"manifestVersion", "version", "id", "developer", "name", "description", "icons", "accentColor"}
LONGEST = {("name", "short"): 30, ("name", "full"): 100, ("description", "short"): 80, ("description", "full"): 4000}
"""By the schema 1.29, as are the other figures here."""


def pixels(png: bytes) -> tuple[int, list[tuple[int, ...]]]:
    """Return width and pixels of a square RGBA picture without filters, its checksums proven."""
    at, idat = 8, b""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        if kind == b"IHDR":
            width, height, *form = struct.unpack(">IIBBBBB", body)
            assert (width, form) == (height, [8, 6, 0, 0, 0])
        idat += body if kind == b"IDAT" else b""
        at += 12 + length
    raw = zlib.decompress(idat)
    rows = [raw[row * (width * 4 + 1) :][: width * 4 + 1] for row in range(width)]
    assert all(len(row) == width * 4 + 1 and row[0] == 0 for row in rows)
    return width, [tuple(row[at : at + 4]) for row in rows for at in range(1, width * 4, 4)]


def held(packed: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_what_teams_requires_is_there_and_nothing_that_it_does_not_know() -> None:
    optional = {"$schema", "bots", "defaultInstallScope", "permissions", "validDomains"}
    assert set(MADE) == REQUIRED | optional
    assert MADE["manifestVersion"] == "1.29"
    assert f"/v{MADE['manifestVersion']}/" in MADE["$schema"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", MADE["version"])
    assert re.fullmatch(r"#[0-9A-F]{6}", MADE["accentColor"])
    assert set(MADE["developer"]) == {"name", "websiteUrl", "privacyUrl", "termsOfUseUrl"}
    assert {text for name, text in MADE["developer"].items() if name != "name"} == {URL}


@pytest.mark.parametrize(("where", "longest"), LONGEST.items())
def test_lengths_are_what_teams_takes(where: tuple[str, str], longest: int) -> None:
    assert 1 <= len(MADE[where[0]][where[1]]) <= longest


def test_it_offers_the_commands_that_there_are() -> None:
    [bot] = MADE["bots"]
    [offered] = bot["commandLists"]
    assert [one["title"] for one in offered["commands"]] == list(COMMANDS) == list(chat_commands())
    assert len(COMMANDS) <= 12
    assert set(offered["scopes"]) == set(bot["scopes"]) == {"team", "groupChat", "personal"}
    for name, words in COMMANDS.items():
        assert len(name) <= 32
        assert len(words) <= 128
        assert chat_commands()[name].about.split(" (")[0] in words


def test_it_asks_for_nothing_that_reads_what_people_write() -> None:
    assert MADE["permissions"] == list(PERMISSIONS) == ["identity", "messageTeamMembers"]
    assert "authorization" not in MADE  # resource-specific consent, such as ChannelMessage.Read.Group
    assert "webApplicationInfo" not in MADE
    assert MADE["bots"][0]["isNotificationOnly"] is False
    assert MADE["bots"][0]["supportsFiles"] is False


def test_the_endpoint_is_the_one_that_is_served() -> None:
    assert PATH == teams_ingress.PATH


def test_the_apps_id_is_the_bots_forever_and_another_bots_is_another() -> None:
    assert MADE["id"] == manifest(BOT.upper(), "https://other.example.com")["id"]
    assert MADE["id"] != manifest(str(uuid.UUID(int=7)), URL)["id"]
    assert MADE["id"] != BOT
    assert MADE["bots"][0]["botId"] == BOT


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("https://x.example", "https://x.example"),
        ("https://x.example/", "https://x.example"),
        ("https://x.example:8443/cs/", "https://x.example:8443/cs"),
        ("https://x.example/api/messages", "https://x.example"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_an_address_is_told_in_one_form(given: str, told: str) -> None:
    assert address(given) == told


@pytest.mark.parametrize(
    "given",
    ["http://x.example", "x.example", "https://", "https://me:pw@x.example", "https://@x.example", "https://x.example?a",
     "https://x.example/#a", "https://x.example:99999", "https://x.example/a b", "https://[x",
     "https://x/" + "a" * 2048],
)  # fmt: skip
def test_an_address_that_teams_cannot_call_is_refused(given: str) -> None:
    with pytest.raises(NoBot) as refused:
        manifest(BOT, given)
    assert refused.value.field == "--url"


@pytest.mark.parametrize("given", ["", "countersign", "28:" + BOT, BOT[:-1], BOT.replace("-", ""), f"{{{BOT}}}"])
def test_an_id_that_is_none_is_refused_with_a_remedy(given: str) -> None:
    with pytest.raises(NoBot, match=re.escape("Application (client) ID")):
        manifest(given, URL)


def test_the_package_is_three_files_at_its_root_and_the_same_bytes_each_time() -> None:
    packed = package(MADE)
    assert packed == package(manifest(BOT, URL))
    files = held(packed)
    assert set(files) == {"manifest.json", "color.png", "outline.png"}
    assert json.loads(files["manifest.json"]) == MADE
    assert {MADE["icons"]["color"], MADE["icons"]["outline"]} == {"color.png", "outline.png"}


def test_the_colour_icon_is_full_and_192_wide() -> None:
    width, found = pixels(icons.color())
    assert width == 192
    assert {one[3] for one in found} == {255}
    assert found[0][:3] == icons.GREEN
    assert {icons.WHITE, icons.FAINT} <= {one[:3] for one in found}


def test_the_outline_icon_is_white_on_nothing_and_32_wide() -> None:
    width, found = pixels(icons.outline())
    assert width == 32
    assert {one[:3] for one in found} == {icons.WHITE}
    assert {0, 255} <= {one[3] for one in found}


def test_the_command_writes_the_package_and_says_what_comes_next(command: Command, tmp_path: Path) -> None:
    where = tmp_path / "app.zip"
    told = command("teams", "package", "--bot-id", BOT, "--url", f"{URL}/", "-o", where)
    assert told.code == 0, told.err
    assert told.out == f"{where}\n"
    assert where.read_bytes() == package(MADE)
    assert f"{URL}/api/messages" in told.err
    assert "countersign doctor --teams" in told.err


def test_what_is_not_said_is_taken_from_the_environment(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERSIGN_TEAMS_APP_ID", BOT)
    monkeypatch.setenv("COUNTERSIGN_PUBLIC_URL", URL)
    monkeypatch.chdir(tmp_path)
    assert command("teams", "package").out == "countersign-teams.zip\n"
    assert held((tmp_path / "countersign-teams.zip").read_bytes())["manifest.json"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "COUNTERSIGN_TEAMS_APP_ID"),
        (["--bot-id", BOT], "COUNTERSIGN_PUBLIC_URL"),
        (["--bot-id", BOT, "--url", "http://x.example"], "https only"),
        (["--bot-id", "me", "--url", URL], "no application id"),
        (["--bot-id", BOT, "--url", URL, "-o", "no/such/folder.zip"], "cannot be written"),
    ],
    ids=["no-bot", "no-url", "http", "no-id", "no-folder"],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer: Any = command("teams", "package", *words)
    assert (answer.code, answer.out) == (1, "")
    assert told in answer.err
    assert list(tmp_path.iterdir()) == []
