"""Key sources: where the two roots are, and who may read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token.keysource import CredentialKeySource, FileKeySource


def test_new_roots_are_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    """One file a serial, mode 0600, in a directory of mode 0700."""
    roots = FileKeySource(str(tmp_path / "a" / "keys")).create("1234567")
    path = tmp_path / "a" / "keys" / "1234567"
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)
    assert ["1234567"] == os.listdir(path.parent)
    assert (32, 32) == (len(roots.identity), len(roots.device))
    assert roots.identity != roots.device


def test_roots_that_exist_are_kept(tmp_path: Path) -> None:
    """Making an HSM again after a kill in between finds the same keys."""
    source = FileKeySource(str(tmp_path))
    first, second, third = source.create("1"), source.create("1"), source.load("1")
    assert first.device == second.device == third.device
    assert first.identity == second.identity == third.identity


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o644, 0o666])
def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """CKR_DEVICE_REMOVED, and the message says what to do; a group that reads is the owner's decision."""
    source = FileKeySource(str(tmp_path))
    source.create("1")
    (tmp_path / "1").chmod(0o640)
    source.load("1")
    (tmp_path / "1").chmod(mode)
    with pytest.raises(CryptokiError, match="chmod 600") as refused:
        source.load("1")
    assert CKR.DEVICE_REMOVED == refused.value.code


@pytest.mark.parametrize("text", ["", "ptkc roots 1\n", "ptkc roots 1\nidentity 00\ndevice 00\n", "\xff\xfe"])
def test_a_damaged_key_file_is_refused(tmp_path: Path, text: str) -> None:
    """CKR_DEVICE_REMOVED with the file's name."""
    (tmp_path / "1").write_text(text, encoding="latin-1")
    (tmp_path / "1").chmod(0o600)
    with pytest.raises(CryptokiError, match="damaged") as refused:
        FileKeySource(str(tmp_path)).load("1")
    assert CKR.DEVICE_REMOVED == refused.value.code


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    """CKR_DEVICE_REMOVED."""
    with pytest.raises(CryptokiError, match=str(tmp_path / "1")):
        FileKeySource(str(tmp_path)).load("1")


def test_a_credential_is_the_same_text_and_is_never_made(tmp_path: Path) -> None:
    """A service gets its roots from systemd."""
    roots = FileKeySource(str(tmp_path)).create("1")
    source = CredentialKeySource(str(tmp_path / "credentials"))
    assert not source.has("1")
    with pytest.raises(CryptokiError):
        source.create("1")
    (tmp_path / "credentials").mkdir()
    (tmp_path / "1").rename(tmp_path / "credentials" / "ptkc-1")
    assert source.has("1")
    assert roots.device == source.load("1").device == source.create("1").device


def test_roots_are_not_shown(tmp_path: Path) -> None:
    """Neither `repr` nor `str` has key bytes."""
    roots = FileKeySource(str(tmp_path)).create("1")
    assert "Roots(identity=<32 bytes>, device=<32 bytes>)" == repr(roots) == str(roots)
