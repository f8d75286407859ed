"""How much memory a served application may take: its session objects, and what its operations keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ends import Board, Client, code_of, prepared

from ptkc.hsm.applications import Applications
from ptkc.hsm.budget import Budget
from ptkc.hsm.endpoint import Endpoint
from ptkc.hsm.room import Room, weight
from ptkc.mechanisms.parts import Parts
from ptkc.spec.constants import CKA, CKF, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import Ccm, CcmMessage, Gcm
from ptkc.spec.values import FALSE, TRUE, ulong

_RW_ASYNC = CKF.SERIAL_SESSION | CKF.RW_SESSION | CKF.ASYNC_SESSION


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a prepared HSM, to be copied."""
    return prepared(tmp_path_factory.mktemp("room") / "source")


@pytest.fixture
def board(source: Path, tmp_path: Path) -> Board:
    """Return an HSM without any security flag."""
    return Board(source, tmp_path / "board")


def _limited(board: Board, **limits: Any) -> None:  # noqa: ANN401 - of several types
    """Have the board serve with other limits."""
    board.applications = Applications(board.hsm, **limits)
    board.endpoint = Endpoint(board.hsm, board.applications, board.tell)


def _room(board: Board) -> Room:
    """Return the room of the only application."""
    (served,) = board.applications.all()
    assert served.application.room is not None
    return served.application.room


def _aes(client: Client, session: int) -> int:
    """Return a new AES key for everything."""
    uses = [(use, TRUE) for use in (CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY)]
    template = ((CKA.VALUE_LEN, ulong(16)), (CKA.PRIVATE, FALSE), *uses)
    key: int = client.call("C_GenerateKey", session, (CKM.AES_KEY_GEN, None), template)[0]
    return key


def _ccm(size: int) -> tuple[int, Ccm]:
    return CKM.AES_CCM, Ccm(size, bytes(12), b"", 16)


# Session objects


def test_session_objects_of_an_application_are_limited(board: Board) -> None:
    """CKR_DEVICE_MEMORY beyond so many bytes, for a changed object too; what is destroyed or closed makes room."""
    _limited(board, memory=50000)
    client = board.client()
    session, other = client.open(), client.open()

    def template(size: int) -> tuple[tuple[int, bytes], ...]:
        return ((CKA.CLASS, ulong(CKO.DATA)), (CKA.PRIVATE, FALSE), (CKA.VALUE, bytes(size)))

    first = client.call("C_CreateObject", session, template(30000))
    small = client.call("C_CreateObject", other, template(1))
    assert CKR.DEVICE_MEMORY == code_of(client, "C_CreateObject", other, template(30000))
    assert CKR.DEVICE_MEMORY == code_of(client, "C_SetAttributeValue", other, small, ((CKA.LABEL, b"x" * 30000),))
    client.call("C_DestroyObject", session, first)
    client.call("C_CreateObject", session, template(30000))
    client.call("C_CloseSession", session)
    client.call("C_CreateObject", other, template(30000))


def test_session_objects_of_all_applications_are_limited_together(board: Board) -> None:
    """Half of it is the most for one address; what an application gives up with its sessions is another one's."""
    _limited(board, memory=50000, budget=Budget(100000))  # type: ignore[arg-type]
    template = ((CKA.CLASS, ulong(CKO.DATA)), (CKA.PRIVATE, FALSE), (CKA.VALUE, bytes(30000)))
    first, second, other = board.client(), board.client(), board.client(address="192.0.2.2")
    sessions = [client.open() for client in (first, second, other)]
    first.call("C_CreateObject", sessions[0], template)
    assert CKR.DEVICE_MEMORY == code_of(second, "C_CreateObject", sessions[1], template)
    other.call("C_CreateObject", sessions[2], template)
    first.call("C_CloseSession", sessions[0])
    second.call("C_CreateObject", sessions[1], template)


@pytest.mark.parametrize("lasting", [(), ((CKA.TOKEN, TRUE),)])
def test_a_key_pair_without_room_leaves_nothing(board: Board, lasting: tuple[tuple[int, bytes], ...]) -> None:
    """CKR_DEVICE_MEMORY for the private key, a session object: the public one is neither in memory nor on the token."""
    _limited(board, memory=13000)
    client = board.client()
    session = client.open()
    public = ((CKA.EC_PARAMS, bytes.fromhex("06032b6570")), (CKA.PRIVATE, FALSE), (CKA.LABEL, b"half"), *lasting)
    private = ((CKA.PRIVATE, FALSE), (CKA.LABEL, b"half"), (CKA.ID, bytes(9000)))
    edwards = (CKM.EC_EDWARDS_KEY_PAIR_GEN, None)
    assert CKR.DEVICE_MEMORY == code_of(client, "C_GenerateKeyPair", session, edwards, public, private)
    assert () == _found(client, session, b"half")
    made = client.call("C_GenerateKeyPair", session, edwards, public, private[:2])
    assert sorted(made) == sorted(_found(client, session, b"half"))


def _found(client: Client, session: int, label: bytes) -> tuple[int, ...]:
    """Return the handles of the objects with a label."""
    client.call("C_FindObjectsInit", session, ((CKA.LABEL, label),))
    found: tuple[int, ...] = client.call("C_FindObjects", session, 10)
    client.call("C_FindObjectsFinal", session)
    return found


@pytest.mark.parametrize("lasting", [FALSE, TRUE])
def test_no_key_changes_without_its_audit_record(
    board: Board, monkeypatch: pytest.MonkeyPatch, lasting: bytes
) -> None:
    """Where the event log cannot be written, a key is neither made nor changed nor destroyed."""
    client = board.client()
    session = client.open()
    board.flags("b")
    template = ((CKA.VALUE_LEN, ulong(16)), (CKA.PRIVATE, FALSE), (CKA.TOKEN, lasting), (CKA.LABEL, b"audited"))
    generation = "C_GenerateKey", session, (CKM.AES_KEY_GEN, None), template
    key = client.call(*generation)[0]

    def refuse(*_: object) -> None:
        raise CryptokiError(CKR.DEVICE_MEMORY, "the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(type(board.hsm), "record_event", refuse)
        assert CKR.DEVICE_MEMORY == code_of(client, *generation)
        assert CKR.DEVICE_MEMORY == code_of(client, "C_DestroyObject", session, key)
        other = ((CKA.LABEL, b"other"),)
        assert CKR.DEVICE_MEMORY == code_of(client, "C_SetAttributeValue", session, key, other)
    assert (key,) == _found(client, session, b"audited")
    client.call("C_DestroyObject", session, key)


# What operations keep


def test_what_is_gone_makes_room_for_other_applications(board: Board) -> None:
    """Session objects that were destroyed or went with their session, and parts of operations that are over."""
    _limited(board, memory=200000, budget=Budget(200000))  # type: ignore[arg-type]
    template = ((CKA.CLASS, ulong(CKO.DATA)), (CKA.PRIVATE, FALSE), (CKA.VALUE, bytes(60000)))
    first, second = board.client(), board.client()
    session, own = first.open(), second.open()
    for _ in range(2):
        first.call("C_DestroyObject", session, first.call("C_CreateObject", session, template))
        second.call("C_DestroyObject", own, second.call("C_CreateObject", own, template))
        passing = first.open()
        first.call("C_CreateObject", passing, template)
        first.call("C_CloseSession", passing)
        _sign_in_parts(first, session, 60000)
        _sign_in_parts(second, own, 60000)


def _sign_in_parts(client: Client, session: int, size: int) -> None:
    """Sign with EdDSA, which keeps what is signed until the end; the key pair goes with it."""
    edwards = (CKM.EC_EDWARDS_KEY_PAIR_GEN, None)
    curve = ((CKA.EC_PARAMS, bytes.fromhex("06032b6570")), (CKA.VERIFY, TRUE))
    signing = ((CKA.PRIVATE, FALSE), (CKA.SIGN, TRUE))
    public, private = client.call("C_GenerateKeyPair", session, edwards, curve, signing)
    try:
        client.call("C_SignInit", session, (CKM.EDDSA, None), private)
        client.call("C_SignUpdate", session, bytes(size // 2))
        client.call("C_SignUpdate", session, bytes(size // 2))
        assert 64 == len(client.call("C_SignFinal", session, 64))
    finally:
        for key in (public, private):
            client.call("C_DestroyObject", session, key)


def test_parts_that_an_operation_keeps_are_limited(board: Board) -> None:
    """CKR_DEVICE_MEMORY beyond, and the end of the operation; nobody need be logged in to begin one."""
    _limited(board, memory=50000)
    client = board.client()
    session = client.open()
    with pytest.raises(CryptokiError) as refused:
        _sign_in_parts(client, session, 100000)
    assert CKR.DEVICE_MEMORY == refused.value.code
    assert CKR.OPERATION_NOT_INITIALIZED == code_of(client, "C_SignFinal", session, 64)
    _sign_in_parts(client, session, 20000)


def _failed(client: Client, name: str, *arguments: Any) -> None:  # noqa: ANN401 - a command's
    """Expect CKR_DEVICE_MEMORY, and nothing held for what has ended."""
    before = _room(client.board)._objects
    assert CKR.DEVICE_MEMORY == code_of(client, name, *arguments)
    assert (before, 0) == (_room(client.board)._objects, _room(client.board)._claimed)


def test_what_is_kept_for_a_saved_state_goes_before_an_operation_is_refused(board: Board) -> None:
    """A digest goes on without room: its state is CKR_STATE_UNSAVEABLE then. A quarter of the room is for states."""
    _limited(board, memory=200000)
    client = board.client()
    session = client.open()
    client.call("C_DigestInit", session, (CKM.SHA256, None))
    client.call("C_DigestUpdate", session, bytes(30000))
    assert 30000 == _room(board)._claimed
    state = client.call("C_GetOperationState", session, 1 << 20)
    client.call("C_DigestUpdate", session, bytes(30000))
    assert 0 == _room(board)._claimed
    assert CKR.STATE_UNSAVEABLE == code_of(client, "C_GetOperationState", session, 1 << 20)
    assert 32 == len(client.call("C_DigestFinal", session, 32))
    client.call("C_SetOperationState", session, state, 0, 0)
    assert 30000 == _room(board)._claimed
    other = client.open()
    client.call("C_SetOperationState", other, state, 0, 0)
    assert 30000 == _room(board)._claimed
    assert CKR.STATE_UNSAVEABLE == code_of(client, "C_GetOperationState", other, 1 << 20)
    client.call("C_CloseSession", session)
    assert 0 == _room(board)._claimed


def test_more_than_can_be_saved_is_given_back(board: Board) -> None:
    """A long digest keeps nothing, however many parts it has."""
    client = board.client()
    session = client.open()
    client.call("C_DigestInit", session, (CKM.SHA256, None))
    for _ in range(8):
        client.call("C_DigestUpdate", session, bytes(1 << 17))
    assert 1 << 20 == _room(board)._claimed
    client.call("C_DigestUpdate", session, b"x")
    assert 0 == _room(board)._claimed


def test_operations_that_end_give_back_what_they_kept(board: Board) -> None:
    """By their last function, an error, C_SessionCancel, Init with NULL, and with their session."""
    client = board.client()
    session = client.open()
    key = _aes(client, session)
    ends = (
        ("C_EncryptFinal", session, 1 << 20),
        ("C_EncryptUpdate", session, bytes(1000), 1 << 20),
        ("C_SessionCancel", session, CKF.ENCRYPT),
        ("C_EncryptInit", session, None, 0),
        ("C_CloseSession", session),
    )
    for end in ends:
        client.call("C_EncryptInit", session, _ccm(20000), key)
        client.call("C_EncryptUpdate", session, bytes(20000), 1 << 20)
        assert 20000 <= _room(board)._claimed
        code_of(client, *end)
        assert 0 == _room(board)._claimed, end[0]


def test_both_of_two_operations_at_once_are_limited(board: Board) -> None:
    """CKR_DEVICE_MEMORY ends the two of C_DigestEncryptUpdate, and gives back what both kept."""
    _limited(board, memory=100000)
    client = board.client()
    session = client.open()
    key = _aes(client, session)
    client.call("C_DigestInit", session, (CKM.SHA256, None))
    client.call("C_EncryptInit", session, _ccm(200000), key)
    client.call("C_DigestEncryptUpdate", session, bytes(20000), 1 << 20)
    # The ciphertext needs the part, and the nonce; there is room to save one of the two.
    assert 40012 == _room(board)._claimed
    client.call("C_DigestEncryptUpdate", session, bytes(20000), 1 << 20)
    client.call("C_DigestEncryptUpdate", session, bytes(20000), 1 << 20)
    _failed(client, "C_DigestEncryptUpdate", session, bytes(50000), 1 << 20)
    assert CKR.OPERATION_NOT_INITIALIZED == code_of(client, "C_DigestFinal", session, 32)


def test_parts_of_messages_are_limited(board: Board) -> None:
    """CKR_DEVICE_MEMORY ends the message, not the operation; what is authenticated with it is counted."""
    _limited(board, memory=50000)
    client = board.client()
    session = client.open()
    key = _aes(client, session)
    message = CcmMessage(60000, bytes(12), 0, 0, 16, 16)
    client.call("C_MessageEncryptInit", session, (CKM.AES_CCM, None), key)
    client.call("C_EncryptMessageBegin", session, message, bytes(20000))
    client.call("C_EncryptMessageNext", session, message, bytes(15000), 1 << 20, 0)
    assert 35000 == _room(board)._claimed
    _failed(client, "C_EncryptMessageNext", session, message, bytes(15000), 1 << 20, 0)
    _failed(client, "C_EncryptMessageBegin", session, message, bytes(60000))
    for _ in range(3):
        message = message._replace(data_len=30000)
        client.call("C_EncryptMessageBegin", session, message, b"")
        client.call("C_EncryptMessageNext", session, message, bytes(20000), 1 << 20, 0)
        client.call("C_EncryptMessageNext", session, message, bytes(10000), 1 << 20, CKF.END_OF_MESSAGE)
        assert 0 == _room(board)._claimed


def test_parts_of_messages_that_are_signed_as_a_whole_are_limited(board: Board) -> None:
    """A mechanism with a single part has them kept: CKR_DEVICE_MEMORY."""
    _limited(board, memory=50000)
    client = board.client()
    session = client.open()
    curve = ((CKA.EC_PARAMS, bytes.fromhex("06082a8648ce3d030107")), (CKA.VERIFY, TRUE))
    signing = ((CKA.PRIVATE, FALSE), (CKA.SIGN, TRUE))
    _, key = client.call("C_GenerateKeyPair", session, (CKM.EC_KEY_PAIR_GEN, None), curve, signing)
    client.call("C_MessageSignInit", session, (CKM.ECDSA, None), key)
    client.call("C_SignMessageBegin", session, None)
    part = session, None, bytes(30000), False  # more follows
    client.call("C_SignMessageNext", *part)
    assert 30000 == _room(board)._claimed
    _failed(client, "C_SignMessageNext", *part)


def test_parameters_of_operations_are_limited(board: Board) -> None:
    """What is authenticated with GCM is kept from the Init on, and a signature from C_VerifySignatureInit."""
    _limited(board, memory=50000)
    client = board.client()
    session, other = client.open(), client.open()
    key = _aes(client, session)
    mechanism = CKM.AES_GCM, Gcm(bytes(12), 96, bytes(30000), 128)
    client.call("C_EncryptInit", session, mechanism, key)
    assert CKR.DEVICE_MEMORY == code_of(client, "C_EncryptInit", other, mechanism, key)
    assert CKR.DEVICE_MEMORY == code_of(client, "C_VerifySignatureInit", other, (CKM.AES_CMAC, None), key, bytes(30000))
    client.call("C_EncryptInit", session, None, 0)
    client.call("C_EncryptInit", other, mechanism, key)


def test_pending_keys_are_limited(board: Board) -> None:
    """What an asynchronous session is to make takes room from the beginning, with its template."""
    _limited(board, memory=100000)
    client = board.client()
    session, other = client.open(flags=_RW_ASYNC), client.open(flags=_RW_ASYNC)
    public = ((CKA.MODULUS_BITS, ulong(2048)), (CKA.LABEL, bytes(30000)))
    private = ((CKA.PRIVATE, FALSE),)
    request = (CKM.RSA_PKCS_KEY_PAIR_GEN, None), public, private
    assert CKR.PENDING == code_of(client, "C_GenerateKeyPair", session, *request)
    assert CKR.DEVICE_MEMORY == code_of(client, "C_GenerateKeyPair", other, *request)
    client.call("C_SessionCancel", session, CKF.GENERATE_KEY_PAIR)


def test_small_parts_are_joined(board: Board) -> None:
    """What is signed is the same, however it comes."""
    client = board.client()
    session = client.open()
    template = ((CKA.CLASS, ulong(CKO.SECRET_KEY)), (CKA.KEY_TYPE, ulong(CKK.AES)), (CKA.VALUE, bytes(16)),
                (CKA.PRIVATE, FALSE), (CKA.ENCRYPT, TRUE))  # fmt: skip
    key = client.call("C_CreateObject", session, template)
    data = bytes(range(256)) * 4
    made = set()
    for size in (1, 3, 700, 1024):
        client.call("C_EncryptInit", session, _ccm(len(data)), key)
        for place in range(0, len(data), size):
            client.call("C_EncryptUpdate", session, data[place : place + size], 1 << 20)
        made.add(client.call("C_EncryptFinal", session, 1 << 20))
    assert 1 == len(made)


def test_weight_is_that_of_all_bytes() -> None:
    """Of tuples, named ones, dictionaries; nothing else has any."""
    assert 12 == weight((Gcm(b"1234", 32, b"56", 128), {1: b"789", 2: b"0"}, [b"x"], None, b"ab", 7, "text"))


@pytest.mark.parametrize("size", [1, 255, 256, 257, 1000])
def test_parts_are_whole_again(size: int) -> None:
    """Whatever number of them, and whether small or long."""
    for length in (1, 300):
        parts = Parts()
        for number in range(size):
            parts.add(bytes((number % 251,)) * length)
        assert (b"".join(bytes((number % 251,)) * length for number in range(size)), size * length) == (
            parts.join(), parts.size,
        )  # fmt: skip
