"""What `ptkc doctor` says of HSMs that were tampered with, interrupted, or left behind."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hsm_directory import Place

from ptkc.configuration import Configuration
from ptkc.token import place as places
from ptkc.token.events import CAPACITY
from ptkc.token.hsms import Hsm
from ptkc.tools.doctor_hsms import examine_hsms


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Return a place with an HSM that has a policy, closed."""
    place = Place(tmp_path)
    hsm = Hsm.add(place.data_path, place.key_path, "1197")
    hsm.set_policy(security_mode=1)
    hsm.close()
    return place


def said(place: Place, state: str) -> list[str]:
    """Return what the doctor says in findings of one state."""
    environment = {"ET_PTKC_SW_DATAPATH": place.data_path, "ET_PTKC_SW_KEYPATH": place.key_path}
    found = examine_hsms(Configuration(environment=environment))
    return [finding.text for finding in found if finding.state == state]


def change(place: Place, statement: str) -> None:
    """Change the database with SQL."""
    with closing(sqlite3.connect(os.path.join(place.data_path, "1197", "store.db"))) as link, link:
        link.execute(statement)


def test_a_sound_hsm_with_a_policy_is_fine(place: Place) -> None:
    """Nothing but that."""
    assert ([], [], []) == (said(place, "error"), said(place, "warning"), said(place, "note"))
    assert 1 == len(said(place, "fine"))


def test_a_changed_policy_is_an_error(place: Place) -> None:
    """Its MAC is wrong."""
    change(place, "UPDATE hsm SET policy = zeroblob(48)")
    assert ["its security flags were changed by something else than ptkc"] == said(place, "error")


def test_an_interrupted_tamper_is_a_warning(place: Place) -> None:
    """In the store, or in the key file."""
    change(place, "UPDATE hsm SET tampers = 1")
    (text,) = said(place, "warning")
    assert "a tamper was begun and interrupted" in text
    change(place, "UPDATE hsm SET tampers = 0")
    Hsm.open(place.data_path, place.key_path)._keys.replace("1197", 1)
    assert [text] == said(place, "warning")


def test_a_key_file_that_is_too_old_is_an_error(place: Place) -> None:
    """It cannot open anything."""
    change(place, "UPDATE hsm SET tampers = 1, wiped = 1")
    assert ["its key file is older than its store, which was tampered since"] == said(place, "error")


def test_an_older_format_and_a_full_log_are_notes(place: Place) -> None:
    """Nothing is wrong with either."""
    with closing(sqlite3.connect(os.path.join(place.data_path, "1197", "store.db"))) as link, link:
        numbers = [(number,) for number in range(10, CAPACITY + 9)]
        link.executemany("INSERT INTO event VALUES (?, zeroblob(48))", numbers)
    assert ["the event log is full, nothing more is recorded"] == said(place, "note")
    change(place, "PRAGMA user_version = 1")
    (text,) = said(place, "note")
    assert "older format" in text


def test_what_killed_processes_left_is_named(place: Place) -> None:
    """Directories that are none, key files without an HSM, a removal that was interrupted."""
    os.mkdir(os.path.join(place.data_path, ".destroyed-1310-00000000"))
    os.mkdir(os.path.join(place.data_path, ".1310.00000000"))
    (Path(place.key_path) / "1310").write_text("")
    change(place, "UPDATE hsm SET removed = 1")
    away, first, second, key = said(place, "note")
    assert "it was taken out, and that was interrupted" == away
    assert (".1310.00000000 is left", ".destroyed-1310-00000000 is left") == (
        os.path.basename(first).split(" of ")[0], os.path.basename(second).split(" of ")[0]
    )  # fmt: skip
    assert os.path.join(place.key_path, "1310") in key
    Hsm.add(place.data_path, place.key_path, "2").close()
    assert [] == [name for name in os.listdir(place.data_path) if name.startswith(".")]
    assert ["1197"] == Hsm.removed(place.data_path)
    assert [] == places.removed_serials(place.data_path)


def test_two_hsms_with_one_place_are_a_note(place: Place) -> None:
    """As after restoring one from a backup."""
    Hsm.add(place.data_path, place.key_path, "1310").close()
    change(place, "UPDATE hsm SET ordinal = 1")
    assert ["it has HSM 1197's place too: they stand in the order of their names"] == said(place, "note")
