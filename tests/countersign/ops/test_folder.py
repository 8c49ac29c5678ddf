import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from countersign.ops.folder import DEMO_JSON, LAYOUT, VERSION, FolderTrouble, state_folder


def test_a_new_folder_is_marked_and_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state"
    with state_folder(path) as folder:
        assert folder.was is None
        folder.write(DEMO_JSON, {"api_key": "cs_x"})
    assert (path / VERSION).read_text().strip() == str(LAYOUT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((path / DEMO_JSON).stat().st_mode) == 0o600
    with state_folder(path) as folder:
        assert folder.was == LAYOUT
        assert folder.read(DEMO_JSON) == {"api_key": "cs_x"}


def test_writing_again_keeps_the_file_private(tmp_path: Path) -> None:
    with state_folder(tmp_path) as folder:
        for number in range(2):
            folder.write(DEMO_JSON, {"number": number})
        assert stat.S_IMODE((tmp_path / DEMO_JSON).stat().st_mode) == 0o600
        assert folder.read(DEMO_JSON) == {"number": 1}


def test_a_broken_file_reads_as_nothing(tmp_path: Path) -> None:
    with state_folder(tmp_path) as folder:
        for text in ("{", "[]", ""):
            (tmp_path / DEMO_JSON).write_text(text)
            assert folder.read(DEMO_JSON) == {}


def test_the_layout_from_before_there_were_markers_opens(tmp_path: Path) -> None:
    (tmp_path / DEMO_JSON).write_text(json.dumps({"base_url": "http://127.0.0.1:1"}))
    with state_folder(tmp_path) as folder:
        assert folder.was == 0
    assert (tmp_path / VERSION).read_text().strip() == str(LAYOUT)


@pytest.mark.parametrize(("marker", "words"), [(f"{LAYOUT + 1}", "newer version"), ("banana", "no version of ours")])
def test_a_strange_version_is_refused_and_left_alone(tmp_path: Path, marker: str, words: str) -> None:
    (tmp_path / VERSION).write_text(marker)
    with pytest.raises(FolderTrouble, match=words), state_folder(tmp_path):
        pass
    assert (tmp_path / VERSION).read_text() == marker


def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(FolderTrouble, match=r"holds other things \(thesis.tex"), state_folder(tmp_path):
        pass


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(FolderTrouble, match="choose another with --state DIR"), state_folder(tmp_path / "state"):
        pass


def test_one_process_at_a_time(tmp_path: Path) -> None:
    other = f"""
from pathlib import Path
from countersign.ops.folder import FolderTrouble, state_folder
try:
    with state_folder(Path({str(tmp_path)!r})):
        print("taken")
except FolderTrouble as error:
    print(error)
"""
    with state_folder(tmp_path):
        told = subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=True).stdout
        assert "a demo runs on" in told
    assert "taken" in subprocess.run([sys.executable, "-c", other], capture_output=True, text=True, check=True).stdout
