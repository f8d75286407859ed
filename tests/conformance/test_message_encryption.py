"""Message-based encryption and decryption: AEAD ciphers, whole and in parts, who makes the IV, and the states."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from ptkc.spec.constants import CKA, CKF, CKG, CKK, CKM, CKO, CKR, CKU

from .binding import ffi
from .cryptoki import NULL, Cryptoki, Session, expect
from .fresh_token import USER_PIN
from .keys import AES_KEY, aes
from .messages import Ccm, ChaCha, Gcm, MessageParameter, decrypt_parts, encrypt_parts, message, next_part
from .parameters import Mechanism, gcm

_GCM, _CCM, _CHACHA = Mechanism(CKM.AES_GCM), Mechanism(CKM.AES_CCM), Mechanism(CKM.CHACHA20_POLY1305)
_IV, _AAD = bytes(range(12)), b"associated"
_DATA = bytes(range(100))
pytestmark = [pytest.mark.needs_function("C_MessageEncryptInit"), pytest.mark.needs(CKM.AES_GCM)]


def _chacha(session: Session) -> int:
    """Create a ChaCha20 key."""
    return session.create({
        CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.CHACHA20, CKA.VALUE: AES_KEY, CKA.ENCRYPT: True, CKA.DECRYPT: True,
    })  # fmt: skip


_CIPHERS = {
    "GCM": (_GCM, lambda tag=16: Gcm(_IV, tag), AESGCM(AES_KEY).encrypt(_IV, _DATA, _AAD)),
    "CCM": (_CCM, lambda tag=16: Ccm(len(_DATA), _IV, tag), AESCCM(AES_KEY).encrypt(_IV, _DATA, _AAD)),
    "CHACHA": (_CHACHA, lambda tag=16: ChaCha(_IV, tag), ChaCha20Poly1305(AES_KEY).encrypt(_IV, _DATA, _AAD)),
}
_each_cipher = pytest.mark.parametrize(
    "cipher",
    [
        "GCM",
        pytest.param("CCM", marks=pytest.mark.needs(CKM.AES_CCM)),
        pytest.param("CHACHA", marks=pytest.mark.needs(CKM.CHACHA20_POLY1305)),
    ],
)


@pytest.fixture
def key(session: Session) -> int:
    """Give an AES key that encrypts and decrypts."""
    return aes(session, ENCRYPT=True, DECRYPT=True)


def _begun(session: Session, cipher: str, name: str) -> tuple[Callable[..., MessageParameter], bytes]:
    """Begin messages; return what lays out a parameter, and ciphertext with tag of `_DATA`."""
    mechanism, parameter, sealed = _CIPHERS[cipher]
    key = _chacha(session) if cipher == "CHACHA" else aes(session, ENCRYPT=True, DECRYPT=True)
    session.init(f"Message{name}", mechanism, key)
    return parameter, sealed


@_each_cipher
def test_messages_are_encrypted(session: Session, cipher: str) -> None:
    """Each C_EncryptMessage gives ciphertext and tag that another implementation gives; the Init holds for many."""
    parameter, sealed = _begun(session, cipher, "Encrypt")
    for _ in range(2):
        used = parameter()
        assert sealed == message(session, "Encrypt", used, _DATA, _AAD) + used.tag
    session.call("C_MessageEncryptFinal")
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_MessageEncryptFinal")


@_each_cipher
@pytest.mark.parametrize("parts", [(100,), (0, 100), (1, 50, 49), (100, 0)])
def test_message_in_parts_is_encrypted(session: Session, cipher: str, parts: tuple[int, ...]) -> None:
    """C_EncryptMessageBegin and C_EncryptMessageNext give the same, and tag only with the last part."""
    parameter, sealed = _begun(session, cipher, "Encrypt")
    used = parameter()
    pieces = [_DATA[sum(parts[:place]) : sum(parts[: place + 1])] for place in range(len(parts))]
    assert sealed == encrypt_parts(session, used, pieces, _AAD) + used.tag
    # The operation is ready for another message.
    used = parameter()
    assert sealed == message(session, "Encrypt", used, _DATA, _AAD) + used.tag


@_each_cipher
def test_messages_are_decrypted(session: Session, cipher: str) -> None:
    """C_DecryptMessage gives the data back, with the tag in the parameter; whole and in parts."""
    parameter, sealed = _begun(session, cipher, "Decrypt")
    assert _DATA == message(session, "Decrypt", parameter(sealed[-16:]), sealed[:-16], _AAD)
    assert _DATA == decrypt_parts(session, parameter(sealed[-16:]), [sealed[:7], sealed[7:-16]], _AAD)
    assert _DATA == decrypt_parts(session, parameter(sealed[-16:]), [sealed[:-16], b""], _AAD)


@_each_cipher
def test_message_with_a_wrong_tag_is_not_decrypted(session: Session, cipher: str) -> None:
    """CKR_AEAD_DECRYPT_FAILED, nothing is given out, and the operation is ready for the next message."""
    parameter, sealed = _begun(session, cipher, "Decrypt")
    wrong = sealed[-16:-1] + bytes([sealed[-1] ^ 1])
    expect(CKR.AEAD_DECRYPT_FAILED, message, session, "Decrypt", parameter(wrong), sealed[:-16], _AAD)
    expect(CKR.AEAD_DECRYPT_FAILED, message, session, "Decrypt", parameter(sealed[-16:]), sealed[:-16], b"other")
    used = parameter(wrong)
    session.call("C_DecryptMessageBegin", *used.pair, _AAD, len(_AAD))
    assert b"" == next_part(session, "Decrypt", used, sealed[:50], last=False)
    expect(CKR.AEAD_DECRYPT_FAILED, next_part, session, "Decrypt", used, sealed[50:-16], last=True)
    assert _DATA == message(session, "Decrypt", parameter(sealed[-16:]), sealed[:-16], _AAD)


def test_shorter_tag_is_made_and_accepted(session: Session, key: int) -> None:
    """A tag of 96 bits is the beginning of the whole one."""
    session.init("MessageEncrypt", _GCM, key)
    used = Gcm(_IV, 12)
    sealed = message(session, "Encrypt", used, _DATA)
    assert AESGCM(AES_KEY).encrypt(_IV, _DATA, b"")[:-4] == sealed + used.tag
    session.init("MessageDecrypt", _GCM, key)
    assert _DATA == message(session, "Decrypt", Gcm(_IV, used.tag), sealed)


# Who makes the IV


def _ivs(session: Session, count: int, fixed: int, generator: int, iv: bytes = bytes(12)) -> list[bytes]:
    """Return the IVs of `count` messages, alternating whole ones and ones in parts; each ciphertext is right."""
    found = []
    for number in range(count):
        used = Gcm(iv, fixed=fixed, generator=generator)
        if number % 2:
            sealed = encrypt_parts(session, used, [_DATA[:50], _DATA[50:]])
        else:
            sealed = message(session, "Encrypt", used, _DATA)
        assert _DATA == AESGCM(AES_KEY).decrypt(used.iv, sealed + used.tag, b"")
        found.append(used.iv)
    return found


@pytest.mark.parametrize("generator", ["GENERATE", "GENERATE_RANDOM"])
def test_generated_ivs_differ_and_keep_the_fixed_bits(session: Session, key: int, generator: str) -> None:
    """The module makes the bits that are not fixed, and writes the IV back."""
    session.init("MessageEncrypt", _GCM, key)
    fixed = b"\xfe\xdc\xba\x98"
    found = _ivs(session, 8, 32, getattr(CKG, generator), fixed + bytes(8))
    assert {fixed} == {iv[:4] for iv in found}
    assert 8 == len(set(found))


def test_fixed_bits_need_not_be_whole_bytes(session: Session, key: int) -> None:
    """Thirteen fixed bits stay."""
    session.init("MessageEncrypt", _GCM, key)
    for iv in _ivs(session, 4, 13, CKG.GENERATE, b"\xab\xcd" + bytes(10)):
        assert (0xAB, 0xC8) == (iv[0], iv[1] & 0xF8)


def test_counter_begins_with_zero(session: Session) -> None:
    """CKG_GENERATE_COUNTER counts the bits that are not fixed."""
    key = session.generate(Mechanism(CKM.AES_KEY_GEN), {CKA.VALUE_LEN: 32, CKA.ENCRYPT: True})
    session.init("MessageEncrypt", _GCM, key)
    for number in range(3):
        used = Gcm(b"host" + bytes(8), fixed=32, generator=CKG.GENERATE_COUNTER)
        message(session, "Encrypt", used, _DATA)
        assert b"host" + number.to_bytes(8, "big") == used.iv


def test_counter_is_mixed_into_what_is_given(session: Session) -> None:
    """CKG_GENERATE_COUNTER_XOR: the first IV is the given one; what is given must not vary."""
    key = session.generate(Mechanism(CKM.AES_KEY_GEN), {CKA.VALUE_LEN: 32, CKA.ENCRYPT: True})
    session.init("MessageEncrypt", _GCM, key)
    for number in range(3):
        used = Gcm(_IV, generator=CKG.GENERATE_COUNTER_XOR)
        message(session, "Encrypt", used, _DATA)
        assert _IV[:-1] + bytes([_IV[-1] ^ number]) == used.iv
    other = Gcm(bytes(12), generator=CKG.GENERATE_COUNTER_XOR)
    expect(CKR.MECHANISM_PARAM_INVALID, message, session, "Encrypt", other, _DATA)


def test_length_query_uses_no_iv(session: Session) -> None:
    """Neither a length query nor CKR_BUFFER_TOO_SMALL takes a step of the counter, or writes an IV."""
    key = session.generate(Mechanism(CKM.AES_KEY_GEN), {CKA.VALUE_LEN: 32, CKA.ENCRYPT: True})
    session.init("MessageEncrypt", _GCM, key)
    used = Gcm(b"\xff" * 12, generator=CKG.GENERATE_COUNTER)
    length = ffi.new("CK_ULONG *")
    session.call("C_EncryptMessage", *used.pair, NULL, 0, _DATA, 100, NULL, length)
    assert (100, b"\xff" * 12, bytes(16)) == (length[0], used.iv, used.tag)
    length[0] = 99
    buffer = ffi.new("CK_BYTE[100]")
    arguments = (*used.pair, NULL, 0, _DATA, 100, buffer, length)
    expect(CKR.BUFFER_TOO_SMALL, session.call, "C_EncryptMessage", *arguments)
    assert (100, b"\xff" * 12, bytes(16)) == (length[0], used.iv, used.tag)
    session.call("C_EncryptMessage", *arguments)
    assert bytes(12) == used.iv


def test_generators_give_no_iv_twice(cryptoki: Cryptoki, session: Session, slot: int) -> None:
    """Another Init, another session and a copy of the key go on where the counter stands."""
    wanted = {CKA.VALUE_LEN: 32, CKA.ENCRYPT: True, CKA.DECRYPT: True}
    key = session.generate(Mechanism(CKM.AES_KEY_GEN), wanted)
    other = cryptoki.open(slot)
    found = []
    for user, used in ((session, key), (session, key), (other, key), (other, session.copy(key, {}))):
        user.init("MessageEncrypt", _GCM, used)
        for _ in range(2):
            parameter = Gcm(bytes(12), generator=CKG.GENERATE_COUNTER)
            message(user, "Encrypt", parameter, _DATA)
            found.append(parameter.iv)
        user.call("C_MessageEncryptFinal")
    assert len(found) == len(set(found))
    # Another way of counting could meet an IV that there was.
    session.init("MessageEncrypt", _GCM, key)
    for parameter in (
        Gcm(bytes(12), fixed=8, generator=CKG.GENERATE_COUNTER),
        Gcm(_IV, generator=CKG.GENERATE_COUNTER_XOR),
    ):
        expect(CKR.MECHANISM_PARAM_INVALID, message, session, "Encrypt", parameter, _DATA)


def test_counter_that_runs_over_is_refused(session: Session) -> None:
    """Eight free bits are good for 256 messages."""
    key = session.generate(Mechanism(CKM.AES_KEY_GEN), {CKA.VALUE_LEN: 32, CKA.ENCRYPT: True})
    session.init("MessageEncrypt", _GCM, key)
    for _ in range(256):
        message(session, "Encrypt", Gcm(bytes(12), fixed=88, generator=CKG.GENERATE_COUNTER), b"x")
    full = Gcm(bytes(12), fixed=88, generator=CKG.GENERATE_COUNTER)
    expect(CKR.MECHANISM_PARAM_INVALID, message, session, "Encrypt", full, b"x")


@pytest.mark.needs(CKM.AES_CCM)
def test_generator_of_ccm(session: Session, key: int) -> None:
    """The nonce of CCM is made in the same ways."""
    session.init("MessageEncrypt", _CCM, key)
    found = set()
    for _ in range(4):
        used = Ccm(100, bytes(13), generator=CKG.GENERATE)
        sealed = message(session, "Encrypt", used, _DATA, _AAD)
        assert _DATA == AESCCM(AES_KEY).decrypt(used.iv, sealed + used.tag, _AAD)
        found.add(used.iv)
    assert 4 == len(found)


@pytest.mark.parametrize(
    "parameter",
    [
        lambda: Gcm(_IV, fixed=97, generator=CKG.GENERATE), lambda: Gcm(_IV, fixed=96, generator=CKG.GENERATE_COUNTER),
        lambda: Gcm(_IV, fixed=2**64 - 1, generator=CKG.GENERATE), lambda: Gcm(_IV, generator=99),
        lambda: Gcm(_IV, fixed=64, generator=CKG.GENERATE_RANDOM), lambda: Gcm(b""), lambda: Gcm(_IV, bits=7),
        lambda: Gcm(_IV, bits=0), lambda: Gcm(_IV, bits=2**63), lambda: ChaCha(_IV), lambda: Ccm(100, _IV),
    ],
)  # fmt: skip
def test_bad_parameter_is_refused(session: Session, key: int, parameter: Callable[[], MessageParameter]) -> None:
    """CKR_MECHANISM_PARAM_INVALID, for the message alone: the next one works."""
    session.init("MessageEncrypt", _GCM, key)
    expect(CKR.MECHANISM_PARAM_INVALID, message, session, "Encrypt", parameter(), _DATA)
    used = parameter()
    expect(CKR.MECHANISM_PARAM_INVALID, session.call, "C_EncryptMessageBegin", *used.pair, NULL, 0) if (
        used.size == 16 and not isinstance(used, Gcm)
    ) else None
    assert 100 == len(message(session, "Encrypt", Gcm(_IV), _DATA))


def test_message_without_a_parameter_is_refused(session: Session, key: int) -> None:
    """A NULL parameter, one of another length, and a NULL pointer for the tag: CKR_MECHANISM_PARAM_INVALID."""
    session.init("MessageEncrypt", _GCM, key)
    length, buffer = ffi.new("CK_ULONG *", 100), ffi.new("CK_BYTE[100]")
    used = Gcm(_IV)
    for pair in ((NULL, 0), (used.pair[0], used.pair[1] - 1), (NULL, used.pair[1])):
        expect(
            (CKR.MECHANISM_PARAM_INVALID, CKR.ARGUMENTS_BAD),
            session.call, "C_EncryptMessage", *pair, NULL, 0, _DATA, 100, buffer, length,
        )  # fmt: skip
    used.structure.pTag = NULL
    expect(CKR.MECHANISM_PARAM_INVALID, message, session, "Encrypt", used, _DATA)
    assert 100 == len(message(session, "Encrypt", Gcm(_IV), _DATA))


def test_parameter_of_c_encrypt_init_is_no_message_parameter(session: Session, key: int) -> None:
    """CK_GCM_PARAMS is as long as CK_GCM_MESSAGE_PARAMS; a number for a pointer is refused."""
    iv, aad = ffi.new("CK_BYTE[]", _IV), ffi.new("CK_BYTE[]", b"a")
    other = ffi.new("CK_GCM_PARAMS *", (iv, 12, 96, aad, 1, 128))
    pair = ffi.cast("void *", other), ffi.sizeof("CK_GCM_PARAMS")
    for name in ("Encrypt", "Decrypt"):
        session.init(f"Message{name}", _GCM, key)
        expect(CKR.MECHANISM_PARAM_INVALID, session.output, f"C_{name}Message", *pair, NULL, 0, _DATA, 100)
        expect(CKR.MECHANISM_PARAM_INVALID, session.call, f"C_{name}MessageBegin", *pair, NULL, 0)


def test_init_takes_no_parameter(session: Session, key: int) -> None:
    """What C_EncryptInit takes is CKR_MECHANISM_PARAM_INVALID: messages have parameters of their own."""
    expect(CKR.MECHANISM_PARAM_INVALID, session.init, "MessageEncrypt", gcm(_IV), key)


# States


def test_message_init_while_active_is_refused(session: Session, key: int) -> None:
    """CKR_OPERATION_ACTIVE, and the first one goes on; an ordinary encryption is another operation."""
    session.init("MessageEncrypt", _GCM, key)
    expect(CKR.OPERATION_ACTIVE, session.init, "MessageEncrypt", _GCM, key)
    assert 100 == len(message(session, "Encrypt", Gcm(_IV), _DATA))


def test_message_without_init_is_refused(session: Session) -> None:
    """CKR_OPERATION_NOT_INITIALIZED of each function."""
    used = Gcm(_IV)
    for name in ("Encrypt", "Decrypt"):
        expect(CKR.OPERATION_NOT_INITIALIZED, message, session, name, used, _DATA)
        expect(CKR.OPERATION_NOT_INITIALIZED, session.call, f"C_{name}MessageBegin", *used.pair, NULL, 0)
        expect(CKR.OPERATION_NOT_INITIALIZED, next_part, session, name, used, _DATA, last=True)
        expect(CKR.OPERATION_NOT_INITIALIZED, session.call, f"C_Message{name}Final")


@pytest.mark.parametrize("name", ["Encrypt", "Decrypt"])
def test_middle_of_a_message_allows_only_its_parts(session: Session, key: int, name: str) -> None:
    """CKR_OPERATION_ACTIVE for another message and for the end; the message under way is not harmed."""
    sealed = AESGCM(AES_KEY).encrypt(_IV, _DATA, b"")
    data, used = (_DATA, Gcm(_IV)) if name == "Encrypt" else (sealed[:-16], Gcm(_IV, sealed[-16:]))
    session.init(f"Message{name}", _GCM, key)
    expect(CKR.OPERATION_NOT_INITIALIZED, next_part, session, name, used, data, last=False)
    session.call(f"C_{name}MessageBegin", *used.pair, NULL, 0)
    first = next_part(session, name, used, data[:10], last=False)
    expect(CKR.OPERATION_ACTIVE, message, session, name, used, data)
    expect(CKR.OPERATION_ACTIVE, session.call, f"C_{name}MessageBegin", *used.pair, NULL, 0)
    expect(CKR.OPERATION_ACTIVE, session.call, f"C_Message{name}Final")
    assert (sealed[:-16] if name == "Encrypt" else _DATA) == first + next_part(
        session, name, used, data[10:], last=True
    )
    session.call(f"C_Message{name}Final")


def test_little_room_for_a_part_keeps_the_message(session: Session, key: int) -> None:
    """CKR_BUFFER_TOO_SMALL and a length query take nothing: the part can be given again."""
    session.init("MessageEncrypt", _GCM, key)
    used = Gcm(_IV)
    session.call("C_EncryptMessageBegin", *used.pair, NULL, 0)
    length, buffer = ffi.new("CK_ULONG *", 99), ffi.new("CK_BYTE[100]")
    for flags in (0, CKF.END_OF_MESSAGE):
        length[0] = 99
        arguments = (*used.pair, _DATA, 100, buffer, length, flags)
        expect(CKR.BUFFER_TOO_SMALL, session.call, "C_EncryptMessageNext", *arguments)
        assert 100 == length[0]
        session.call("C_EncryptMessageNext", *used.pair, _DATA, 100, NULL, length, flags)
        assert (100, bytes(16)) == (length[0], used.tag)
        session.call("C_EncryptMessageNext", *arguments)
    assert AESGCM(AES_KEY).encrypt(_IV, _DATA * 2, b"")[-16:] == used.tag


def test_refused_part_ends_the_message_only(session: Session, key: int) -> None:
    """After an error the part's message is over, and another can begin under the same Init."""
    session.init("MessageEncrypt", _GCM, key)
    used = Gcm(_IV)
    for refused in (
        (*used.pair, NULL, 5, ffi.new("CK_BYTE[16]"), ffi.new("CK_ULONG *", 16), 0),
        (*used.pair, _DATA, 5, ffi.new("CK_BYTE[16]"), NULL, 0),
        (*ChaCha(_IV).pair, _DATA, 5, ffi.new("CK_BYTE[16]"), ffi.new("CK_ULONG *", 16), 0),
    ):
        session.call("C_EncryptMessageBegin", *used.pair, NULL, 0)
        expect((CKR.ARGUMENTS_BAD, CKR.MECHANISM_PARAM_INVALID), session.call, "C_EncryptMessageNext", *refused)
        expect(CKR.OPERATION_NOT_INITIALIZED, next_part, session, "Encrypt", used, _DATA, last=True)
    assert 100 == len(message(session, "Encrypt", Gcm(_IV), _DATA))
    session.call("C_MessageEncryptFinal")


@pytest.mark.needs(CKM.AES_CCM)
def test_length_of_ccm_data_is_held_to(session: Session, key: int) -> None:
    """CKR_DATA_LEN_RANGE for more or less data than the parameter says."""
    session.init("MessageEncrypt", _CCM, key)
    for length in (99, 101):
        expect(CKR.DATA_LEN_RANGE, message, session, "Encrypt", Ccm(length, _IV), _DATA)


@pytest.mark.parametrize("middle", [False, True])
@pytest.mark.parametrize("way", ["null", "cancel"])
def test_messages_are_cancelled(session: Session, key: int, way: str, *, middle: bool) -> None:
    """Init with a NULL mechanism, and C_SessionCancel, end the operation, in the middle of a message too."""
    session.init("MessageEncrypt", _GCM, key)
    if middle:
        session.call("C_EncryptMessageBegin", *Gcm(_IV).pair, NULL, 0)
    if way == "null":
        session.call("C_MessageEncryptInit", NULL, 0)
    else:
        session.call("C_SessionCancel", CKF.MESSAGE_ENCRYPT)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_MessageEncryptFinal")


@pytest.mark.parametrize("name", ["Encrypt", "Decrypt"])
def test_key_must_be_for_it(session: Session, name: str) -> None:
    """CKA_ENCRYPT and CKA_DECRYPT hold for messages, CKA_ALLOWED_MECHANISMS too."""
    key = aes(session, ENCRYPT=name != "Encrypt", DECRYPT=name != "Decrypt")
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.init, f"Message{name}", _GCM, key)
    expect(CKR.KEY_HANDLE_INVALID, session.init, f"Message{name}", _GCM, 0)
    expect(CKR.MECHANISM_INVALID, session.init, f"Message{name}", Mechanism(CKM.AES_CBC), aes(session))


def test_mechanism_info_says_so(mechanisms: dict[int, int]) -> None:
    """CKF_MESSAGE_ENCRYPT and CKF_MULTI_MESSAGE of what encrypts messages."""
    assert CKF.MESSAGE_ENCRYPT | CKF.MESSAGE_DECRYPT | CKF.MULTI_MESSAGE == mechanisms[CKM.AES_GCM] & (
        CKF.MESSAGE_ENCRYPT | CKF.MESSAGE_DECRYPT | CKF.MULTI_MESSAGE
    )
    assert not mechanisms.get(CKM.AES_CBC, 0) & (CKF.MESSAGE_ENCRYPT | CKF.MULTI_MESSAGE)


def test_messages_with_a_private_key_end_with_the_login(cryptoki: Cryptoki, session: Session, slot: int) -> None:
    """C_Logout ends them, and they do not come back with another login."""
    key = session.create({
        CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE: AES_KEY, CKA.ENCRYPT: True, CKA.PRIVATE: True,
    })  # fmt: skip
    session.init("MessageEncrypt", _GCM, key)
    session.call("C_EncryptMessageBegin", *Gcm(_IV).pair, NULL, 0)
    session.logout()
    expect(CKR.OPERATION_NOT_INITIALIZED, next_part, session, "Encrypt", Gcm(_IV), _DATA, last=True)
    session.login(USER_PIN, CKU.USER)
    expect(CKR.OPERATION_NOT_INITIALIZED, session.call, "C_MessageEncryptFinal")


def test_counter_is_not_for_keys_that_outlive_the_process(session: Session) -> None:
    """Another process would begin with zero again: no counters for a token object; other generators work.

    They need so many bits that two processes, or two lives of one, do not meet.
    """
    wanted = {CKA.VALUE_LEN: 32, CKA.ENCRYPT: True, CKA.TOKEN: True}
    key = session.generate(Mechanism(CKM.AES_KEY_GEN), wanted)
    session.init("MessageEncrypt", _GCM, key)
    for generator in (CKG.GENERATE_COUNTER, CKG.GENERATE_COUNTER_XOR):
        expect(CKR.MECHANISM_PARAM_INVALID, message, session, "Encrypt", Gcm(_IV, generator=generator), _DATA)
    for fixed in (33, 64, 88):
        few = Gcm(_IV, generator=CKG.GENERATE, fixed=fixed)
        expect(CKR.MECHANISM_PARAM_INVALID, message, session, "Encrypt", few, _DATA)
    for fixed in (0, 32):
        used = Gcm(_IV, generator=CKG.GENERATE, fixed=fixed)
        message(session, "Encrypt", used, _DATA)
        assert _IV != used.iv
