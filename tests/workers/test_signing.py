"""A signing key comes from one place, belongs to its owner alone, and is named in no error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.worlds.notaries import NEW
from tests.worlds.signing import KEY
from workers.config import load
from workers.settings import Settings
from workers.signing import SigningKey, SigningKeyTrouble, load_signers, public_of

SECRET = KEY.text.rpartition("+")[2]
STORE = {"COUNTERSIGN_REDIS_URL": "redis://localhost"}


def settings(**names: object) -> Settings:
    environ = {f"COUNTERSIGN_{name}": str(value) for name, value in names.items()}
    return load({**STORE, **environ}, "clock")


def key_file(folder: Path, text: str = KEY.text, mode: int = 0o600) -> Path:
    path = folder / "signing.key"
    path.write_text(f"{text}\n")
    path.chmod(mode)
    return path


def test_a_private_key_is_read_back_and_never_shown() -> None:
    assert SigningKey.parse(f"{KEY.text}\n").public == KEY.public
    assert KEY.text.rpartition("+")[2] not in repr(KEY)
    for wrong in ("", "x", KEY.text[:-4], KEY.text.replace("signing", "delivery"), public_of(KEY).text):
        with pytest.raises(ValueError, match=r"signing key|name") as told:
            SigningKey.parse(wrong)
        assert wrong == "" or wrong not in str(told.value)


def test_keys_are_read_from_the_environment_or_a_file(tmp_path: Path) -> None:
    for found in (settings(SIGNING_KEY=KEY.text), settings(SIGNING_KEY_FILE=key_file(tmp_path))):
        signers = load_signers(found)
        assert (signers.current.public, signers.before) == (KEY.public, None)
        assert SECRET not in repr(found)
    both = load_signers(settings(SIGNING_KEY=NEW.text, SIGNING_KEY_BEFORE_FILE=key_file(tmp_path)))
    assert both.before is not None
    assert (both.current.public, both.before.public) == (NEW.public, KEY.public)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(SigningKeyTrouble, match=r"SIGNING_KEY_FILE: others can .*chmod 600"):
        load_signers(settings(SIGNING_KEY_FILE=key_file(tmp_path, mode=mode)))


@pytest.mark.parametrize(
    "text", ["", "x" * 9_000, KEY.text[:-8], KEY.text.replace(KEY.name, "a b"), public_of(KEY).text]
)
def test_a_file_that_holds_no_key_is_named_and_its_text_is_not(tmp_path: Path, text: str) -> None:
    with pytest.raises(SigningKeyTrouble, match="COUNTERSIGN_SIGNING_KEY_FILE") as told:
        load_signers(settings(SIGNING_KEY_FILE=key_file(tmp_path, text)))
    assert SECRET[:12] not in str(told.value)


def test_a_lost_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SigningKeyTrouble, match=r"COUNTERSIGN_SIGNING_KEY_FILE: .* cannot be read"):
        load_signers(settings(SIGNING_KEY_FILE=tmp_path / "gone"))


def test_an_environment_that_holds_half_a_key_is_named_and_its_text_is_not() -> None:
    with pytest.raises(SigningKeyTrouble, match="COUNTERSIGN_SIGNING_KEY holds no signing key") as told:
        load_signers(settings(SIGNING_KEY=KEY.text[:-8]))
    assert SECRET[:12] not in str(told.value)


def test_the_key_before_is_another_one() -> None:
    with pytest.raises(SigningKeyTrouble, match="COUNTERSIGN_SIGNING_KEY_BEFORE is the key that signs now"):
        load_signers(settings(SIGNING_KEY=KEY.text, SIGNING_KEY_BEFORE=KEY.text))


def test_a_clock_whose_key_is_lost_refuses_to_start_and_says_why(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    ran = subprocess.run(
        [sys.executable, "-m", "workers.clock"],
        env={"COUNTERSIGN_REDIS_URL": "redis://127.0.0.1:9", "COUNTERSIGN_SIGNING_KEY_FILE": str(gone)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    said = ran.stdout + ran.stderr
    assert ran.returncode == 1
    assert f"COUNTERSIGN_SIGNING_KEY_FILE: {gone} cannot be read" in said
    assert "Traceback" not in said
