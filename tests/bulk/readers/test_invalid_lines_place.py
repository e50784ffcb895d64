"""The file of invalid lines holds personal data: it is written where it was named, and where no one else can write."""

import os
import sys
from pathlib import Path

import pytest
from reader_files import HEADER, ROW, written

from thredfi_async.bulk.errors import SourceError
from thredfi_async.bulk.readers import Source, open_source

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such files there")

BAD = HEADER + b"one,x\n" + ROW


def opened(folder: Path, target: Path) -> Source:
    """Open a source with an invalid line."""
    return open_source(written(folder, "a.csv", BAD), invalid_lines=target)


def test_a_link_is_refused(tmp_path: Path) -> None:
    """A link leads to a file that was not named, whether that is there or not; nothing is read or written."""
    victim = tmp_path / "victim"
    link = tmp_path / "bad.csv"
    link.symlink_to(victim)
    with pytest.raises(SourceError, match=r"cannot write invalid lines to .*bad\.csv: it is a link"):
        opened(tmp_path, link)
    victim.write_text("precious")
    with pytest.raises(SourceError, match="it is a link"):
        opened(tmp_path, link)
    link.unlink()
    link.hardlink_to(victim)
    with pytest.raises(SourceError, match="it has a second name, a hard link"):
        opened(tmp_path, link)
    assert victim.read_text() == "precious"


def test_a_link_that_comes_later_is_refused(tmp_path: Path) -> None:
    """What is put there between the check and the first invalid line is not followed."""
    target, victim = tmp_path / "bad.csv", tmp_path / "victim"
    source = opened(tmp_path, target)
    target.symlink_to(victim)
    with pytest.raises(SourceError, match="cannot write"):
        list(source)
    assert not victim.exists()
    target.unlink()
    victim.write_text("precious")
    source = opened(tmp_path, target)
    target.hardlink_to(victim)
    with pytest.raises(SourceError, match="a hard link"):
        list(source)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    """What stands there could be anyone's, and would be archived once it is "fixed"."""
    target = tmp_path / "bad.csv"
    target.touch()
    target.chmod(mode)
    with pytest.raises(SourceError, match="it can be written by other users"):
        opened(tmp_path, target)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    """Its owner can read and write it, whatever its mode is."""
    target = tmp_path / "bad.csv"
    target.touch(mode=0o600)
    os.chown(target, 65534, 65534)
    with pytest.raises(SourceError, match="it belongs to another user"):
        opened(tmp_path, target)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """A pipe without a reader would hold the run up for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="it is a link, a pipe or a device"):
        opened(tmp_path, tmp_path / "pipe")
    target = tmp_path / "bad.csv"
    source = opened(tmp_path, target)
    os.mkfifo(target)
    with pytest.raises(SourceError, match="cannot write"):
        list(source)
