"""The library: slots of several HSMs as one list, what becomes of them when an HSM is taken away, device numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ptkc.client.library import Library
from ptkc.spec.constants import CKA, CKF, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.wire.commands import Device


class Board(Device):
    """An HSM with as many slots as it is told, the last of them its Admin slot; it says what it was called with."""

    def __init__(self, name: str, slots: int) -> None:
        """Begin with no session."""
        self.name = name
        self.slots = slots
        self.away: CryptokiError | None = None
        self.sessions: dict[int, int] = {}
        self.called: list[tuple[Any, ...]] = []

    def _here(self) -> None:
        if self.away is not None:
            raise self.away

    def get_slot_list(self, present: bool) -> tuple[int, ...]:  # noqa: ARG002, FBT001 - as in the table
        """Return the slots."""
        self._here()
        return tuple(range(self.slots))

    def get_token_info(self, slot: int) -> tuple[Any, ...]:
        """Return a token information that names board and slot."""
        self._here()
        return (f"{self.name}{slot}", b"", b"", b"", CKF.ADMIN_TOKEN if slot == self.slots - 1 else 0)

    def open_session(self, slot: int, flags: int) -> int:  # noqa: ARG002
        """Open a session whose handle nobody else has."""
        self._here()
        session = ord(self.name) * 100 + len(self.sessions)
        self.sessions[session] = slot
        return session

    def close_session(self, session: int) -> None:
        """Close a session."""
        self._here()
        del self.sessions[session]

    def get_session_info(self, session: int) -> tuple[int, int, int, int]:
        """Return the slot of a session."""
        self._here()
        if session not in self.sessions:
            raise CryptokiError(CKR.SESSION_HANDLE_INVALID, "no session")
        return self.sessions[session], 0, 0, 0

    def ct_init_token(self, *arguments: object) -> None:
        """Take a note."""
        self.called.append(arguments)

    def ct_copy_object(self, *arguments: object) -> int:
        """Take a note."""
        self.called.append(arguments)
        return 99

    def ct_reset_token(self, session: int, pin: bytes | None, label: bytes) -> None:
        """Close the session, or refuse a PIN."""
        if not pin:
            raise CryptokiError(CKR.PIN_LEN_RANGE, "no PIN")
        self.called.append((session, pin, label))
        del self.sessions[session]

    def ct_fetch_certificate(self, kind: int, room: int | None) -> bytes:  # noqa: ARG002
        """Return a certificate that names the board."""
        self._here()
        return f"certificate of {self.name}".encode()


Boards = tuple[Library, Board, Board, Board]


@pytest.fixture
def three() -> Boards:
    """Return a library with HSMs of two, three and two slots."""
    library = Library()
    boards = Board("A", 2), Board("B", 3), Board("C", 2)
    library.begin(list(boards), admin_slots=True)
    return library, *boards


def _code(call: Callable[..., object], *arguments: object) -> int:
    """Return the code a call is refused with."""
    with pytest.raises(CryptokiError) as caught:
        call(*arguments)
    return caught.value.code


def _names(library: Library) -> dict[int, str]:
    """Return what is in each slot of the list."""
    return {slot: library.get_token_info(slot)[0] for slot in library.get_slot_list(present=True, look=True)}


def test_slots_of_several_hsms_are_numbered_through(three: Boards) -> None:
    """HSM after HSM, each with its user slots first and its Admin slot last."""
    library, *_ = three
    assert {0: "A0", 1: "A1", 2: "B0", 3: "B1", 4: "B2", 5: "C0", 6: "C1"} == _names(library)
    assert CKR.SLOT_ID_INVALID == _code(library.get_token_info, 7)


def test_hidden_admin_slots_are_those_of_every_hsm(three: Boards) -> None:
    """What is left is numbered through."""
    library, *boards = three
    library.begin(boards, admin_slots=False)  # type: ignore[arg-type]
    assert {0: "A0", 1: "B0", 2: "B1", 3: "C0"} == _names(library)


@pytest.mark.parametrize("code", [CKR.DEVICE_REMOVED, CKR.DEVICE_ERROR])
def test_hsm_that_is_taken_away_leaves_the_others_their_numbers(three: Boards, code: int) -> None:
    """Its slots leave the list and answer why it is away; no other token comes to stand under a known number."""
    library, board, *_ = three
    before = _names(library)
    board.away = CryptokiError(code, "pulled out")
    assert {slot: name for slot, name in before.items() if slot > 1} == _names(library)
    assert {code} == {_code(library.get_token_info, slot) for slot in (0, 1)}
    assert code == _code(library.open_session, 0, CKF.SERIAL_SESSION)
    board.away = None
    assert before == _names(library)


@pytest.mark.parametrize("admin_slots", [True, False])
def test_hsm_that_is_not_there_at_first_gets_the_numbers_behind_all_others(three: Boards, *, admin_slots: bool) -> None:
    """No slot that the application knows becomes another HSM's; device numbers are those of the beginning."""
    library, *boards = three
    library.begin(boards, admin_slots=admin_slots)  # type: ignore[arg-type]
    boards[1].away = CryptokiError(CKR.DEVICE_ERROR, "broken")
    first = {0: "A0", 1: "A1", 2: "C0", 3: "C1"} if admin_slots else {0: "A0", 1: "C0"}
    assert first == _names(library)
    assert CKR.SLOT_ID_INVALID == _code(library.get_token_info, len(first))
    boards[1].away = None
    later = ["B0", "B1", "B2"] if admin_slots else ["B0", "B1"]
    assert {**first, **dict(enumerate(later, len(first)))} == _names(library)
    slots = (0, len(first) - 1, len(first))
    assert [0, 2, 1] == [library.ct_hsm_id_from_slot_id(slot) for slot in slots]


def test_slot_that_is_added_and_deleted_moves_no_other_hsm(three: Boards) -> None:
    """It gets the number behind all others; deleted, it is CKR_SLOT_ID_INVALID."""
    library, board, *_ = three
    before = _names(library)
    session = library.open_session(1, CKF.SERIAL_SESSION)
    board.slots = 3
    board.sessions[session] = 2  # the Admin slot is the last one
    assert (7, 0, 0, 0) == library.get_session_info(session)
    assert {**before, 7: "A2"} == _names(library)
    board.slots = 2
    assert before == _names(library)
    assert CKR.SLOT_ID_INVALID == _code(library.get_token_info, 7)


@pytest.mark.parametrize("admin_slots", [True, False])
def test_hsm_whose_messages_become_protected_keeps_its_numbers(*, admin_slots: bool) -> None:
    """Also if it cannot be asked just then."""
    library, direct, protected, other = Library(), Board("A", 3), Board("A", 3), Board("B", 2)
    library.begin(
        [direct, other], admin_slots=admin_slots, protected=lambda device: protected if device is direct else None
    )
    before = _names(library)
    session = library.open_session(1, CKF.SERIAL_SESSION)
    protected.sessions.update(direct.sessions)
    assert library.protect(session, direct)
    protected.away = CryptokiError(CKR.CERT_NOT_VALIDATED, "no certificate")
    assert {slot: name for slot, name in before.items() if name[0] == "B"} == _names(library)
    protected.away = None
    assert before == _names(library)
    assert (1, 0, 0, 0) == library.get_session_info(session)


def test_session_knows_its_slot_and_hsm_while_another_is_away(three: Boards) -> None:
    """C_GetSessionInfo, CT_GetHSMId and CT_HsmIdFromSlotId keep their numbers."""
    library, first, _, last = three
    session = library.open_session(5, CKF.SERIAL_SESSION)
    first.away = CryptokiError(CKR.DEVICE_REMOVED, "pulled out")
    assert 5 == library.get_session_info(session)[0]
    assert [2, 2] == [library.ct_get_hsm_id(session), library.ct_hsm_id_from_slot_id(5)]
    assert session == library.ct_to_hsm_session(session)
    last.away = first.away
    asking = (library.get_session_info, library.ct_get_hsm_id, library.ct_to_hsm_session, library.close_session)
    assert [CKR.DEVICE_REMOVED] * 4 == [_code(ask, session) for ask in asking]


@pytest.mark.parametrize(
    ("code", "is_known"),
    [
        (CKR.SESSION_HANDLE_INVALID, False), (CKR.SESSION_CLOSED, False), (CKR.DEVICE_RESET, False),
        (CKR.DEVICE_REMOVED, True), (CKR.DEVICE_ERROR, True), (CKR.BAD_PROTECTION, True), (CKR.SMS_ERROR, True),
    ],
)  # fmt: skip
def test_session_is_forgotten_only_where_it_is_no_more(three: Boards, code: int, *, is_known: bool) -> None:
    """After any other refusal of C_CloseSession the HSM may have it, with its login: the handle stays."""
    library, board, *_ = three
    session = library.open_session(0, CKF.SERIAL_SESSION)
    board.away = CryptokiError(code, "refused")
    assert code == _code(library.close_session, session)
    assert is_known == (session in library.sessions)
    board.away = None
    if is_known:
        library.close_session(session)
    assert CKR.SESSION_HANDLE_INVALID == _code(library.close_session, session)


@pytest.mark.parametrize(("code", "tried"), [(CKR.DEVICE_ERROR, [0, 1, 3]), (CKR.DEVICE_REMOVED, [0])])
def test_session_that_cannot_be_closed_keeps_no_other_open(three: Boards, code: int, tried: list[int]) -> None:
    """C_CloseAllSessions tries all and says what was refused, but waits once only for an HSM that nobody reaches."""
    library, _, board, _ = three
    sessions = [library.open_session(slot, CKF.SERIAL_SESSION) for slot in (2, 2, 3, 2)]
    close, asked = board.close_session, []

    def refusing(session: int) -> None:
        asked.append(sessions.index(session))
        if session == sessions[0]:
            raise CryptokiError(code, "refused")
        close(session)

    board.close_session = refusing  # type: ignore[method-assign]
    assert code == _code(library.close_all_sessions, 2)
    assert tried == asked
    board.close_session = close  # type: ignore[method-assign]
    library.close_all_sessions(2)
    assert [sessions[2]] == list(library.sessions)


def test_every_slot_knows_its_hsm(three: Boards) -> None:
    """CT_HsmIdFromSlotId gives the place of the HSM; CKR_SLOT_ID_INVALID beyond the last slot."""
    library, *_ = three
    assert [0, 0, 1, 1, 1, 2, 2] == [library.ct_hsm_id_from_slot_id(slot) for slot in range(7)]
    assert CKR.SLOT_ID_INVALID == _code(library.ct_hsm_id_from_slot_id, 7)


def test_token_is_initialised_in_a_slot_of_the_sessions_own_hsm(three: Boards) -> None:
    """CT_InitToken's slot is one of the library's numbering; another HSM's is CKR_SLOT_ID_INVALID."""
    library, _, board, _ = three
    session = library.open_session(4, CKF.SERIAL_SESSION)
    library.ct_init_token(session, 3, b"1234", b"label")
    assert [(session, 1, b"1234", b"label")] == board.called
    assert {CKR.SLOT_ID_INVALID} == {_code(library.ct_init_token, session, slot, b"1234", b"") for slot in (0, 5, 7)}
    assert CKR.SESSION_HANDLE_INVALID == _code(library.ct_init_token, session + 1, 3, b"1234", b"")


def test_object_is_copied_only_within_one_hsm(three: Boards) -> None:
    """Nothing leaves an HSM by CT_CopyObject: sessions of two are CKR_SESSION_HANDLE_INVALID."""
    library, board, *_ = three
    here, there, elsewhere = (library.open_session(slot, CKF.SERIAL_SESSION) for slot in (0, 1, 2))
    assert 99 == library.ct_copy_object(here, there, 7, ())
    assert [(here, there, 7, ())] == board.called
    wrong = [(here, elsewhere), (elsewhere, here), (here, 5), (5, here)]
    assert {CKR.SESSION_HANDLE_INVALID} == {_code(library.ct_copy_object, *pair, 7, ()) for pair in wrong}


def test_reset_closes_the_session_only_if_it_succeeds(three: Boards) -> None:
    """CT_ResetToken ends the session that it was called with, as the vendor's documentation says."""
    library, *_ = three
    session = library.open_session(0, CKF.SERIAL_SESSION)
    assert CKR.PIN_LEN_RANGE == _code(library.ct_reset_token, session, b"", b"")
    assert 0 == library.get_session_info(session)[0]
    library.ct_reset_token(session, b"1234", b"")
    assert {} == library.sessions
    assert CKR.SESSION_HANDLE_INVALID == _code(library.get_session_info, session)


def test_certificate_is_fetched_by_device_number(three: Boards) -> None:
    """CT_FetchCertificate needs no session; CKR_ARGUMENTS_BAD without such an HSM, CKR_DEVICE_REMOVED if it is away."""
    library, _, board, _ = three
    kind = CKA.LOCAL_IDENTITY_CERT
    assert [b"certificate of A", b"certificate of B"] == [library.ct_fetch_certificate(hsm, kind, 99) for hsm in (0, 1)]
    assert {CKR.ARGUMENTS_BAD} == {_code(library.ct_fetch_certificate, hsm, kind, 99) for hsm in (3, 2**32 - 1)}
    board.away = CryptokiError(CKR.DEVICE_REMOVED, "pulled out")
    assert CKR.DEVICE_REMOVED == _code(library.ct_fetch_certificate, 1, kind, 99)


def test_session_is_the_protected_devices_though_it_was_opened_on_the_way_there() -> None:
    """A thread that is in C_OpenSession while another one puts what protects messages in the device's place."""
    library, direct, protected = Library(), Board("A", 2), Board("B", 2)
    library.begin([direct], admin_slots=True, protected=lambda device: protected if device is direct else None)
    opened = direct.open_session

    def overtaken(slot: int, flags: int) -> int:
        session = opened(slot, flags)
        assert library.protect(0, direct)
        return session

    direct.open_session = overtaken  # type: ignore[method-assign]
    session = library.open_session(0, CKF.SERIAL_SESSION)
    assert ([protected], protected) == (library.devices, library.sessions[session])


def test_end_of_the_library_forgets_the_slots(three: Boards) -> None:
    """After C_Finalize there is no slot, and no session."""
    library, *_ = three
    session = library.open_session(0, CKF.SERIAL_SESSION)
    _names(library)
    library.end()
    assert () == library.get_slot_list(present=True, look=True)
    assert CKR.SESSION_HANDLE_INVALID == _code(library.ct_get_hsm_id, session)
