"""Limited keys: what counts as a use, what ends at a limit or a date, and what nobody can undo."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from calendar import timegm
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hsm_directory import SO_PIN, USER_PIN
from limited import Limited

from ptkc.hsm.application import Application
from ptkc.objects.object import Object
from ptkc.spec.constants import CKA, CKD, CKF, CKG, CKK, CKM, CKO, CKP, CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import Ecdh, Extract, GcmMessage, GcmWrap
from ptkc.spec.values import FALSE, TRUE, ulong
from ptkc.token.tokens import Token

DER = b"\x30\x03\x02\x01\x01"
P256 = bytes.fromhex("06082a8648ce3d030107")
ONE, TWO = ulong(1), ulong(2)
KEEPERS = pytest.mark.parametrize("token", [TRUE, FALSE], ids=["token", "session"])


@pytest.fixture
def hsm(tmp_path: Path) -> Iterator[Limited]:
    """Return an HSM whose user is logged in."""
    with Limited(tmp_path) as limited:
        yield limited


def code(call: Callable[..., object], *arguments: object, **options: object) -> int:
    """Return the CK_RV that a call is refused with."""
    with pytest.raises(CryptokiError) as refused:
        call(*arguments, **options)
    return refused.value.code


# Counting


@KEEPERS
def test_each_init_is_a_use(hsm: Limited, token: bytes) -> None:
    """C_*Init, C_WrapKey and C_UnwrapKey count one each, single parts and updates none."""
    key = hsm.aes(token=token, usage_count=ulong(0))
    other = hsm.generic(bytes(16))
    device, session = hsm.device, hsm.session
    hsm.use(key)
    device.decrypt_init(session, (CKM.AES_ECB, None), key)
    device.decrypt_update(session, bytes(16), 16)
    device.decrypt_final(session, 16)
    device.sign_init(session, (CKM.AES_CMAC, None), key)
    device.sign(session, b"data", 16)
    device.verify_init(session, (CKM.AES_CMAC, None), key)
    wrapped, _ = device.wrap_key(session, (CKM.AES_ECB, None), key, other, 100)
    assert 5 == hsm.count(key)
    made = ((CKA.CLASS, ulong(CKO.SECRET_KEY)), (CKA.KEY_TYPE, ulong(CKK.GENERIC_SECRET)))
    device.unwrap_key(session, (CKM.AES_ECB, None), key, wrapped, made)
    assert 6 == hsm.count(key)


def test_each_message_is_a_use(hsm: Limited) -> None:
    """Of message-based operations the messages count, whole and in parts, not the Init, a length query or a refusal."""
    key = hsm.aes(usage_count=ulong(0))
    device, session = hsm.device, hsm.session
    parameter = GcmMessage(bytes(12), 0, 0, 16, 128)
    device.message_encrypt_init(session, (CKM.AES_GCM, None), key)
    assert 0 == hsm.count(key)
    assert (4, ()) == device.encrypt_message(session, parameter, b"", b"data", None)
    assert CKR.BUFFER_TOO_SMALL == code(device.encrypt_message, session, parameter, b"", b"data", 3)
    assert CKR.MECHANISM_PARAM_INVALID == code(device.encrypt_message, session, None, b"", b"data", 4)
    assert 0 == hsm.count(key)
    device.encrypt_message(session, parameter, b"", b"data", 4)
    device.encrypt_message_begin(session, parameter, b"")
    device.encrypt_message_next(session, parameter, b"da", 2, 0)
    device.encrypt_message_next(session, parameter, b"ta", 2, CKF.END_OF_MESSAGE)
    device.message_encrypt_final(session)
    assert 2 == hsm.count(key)
    device.message_sign_init(session, (CKM.AES_CMAC, None), key)
    mac, _ = device.sign_message(session, None, b"data", 16)
    device.sign_message_begin(session, None)
    device.sign_message_next(session, None, b"data", False)  # noqa: FBT003 - the pointer to the length is NULL
    assert (mac, ()) == device.sign_message_next(session, None, b"", 16)
    assert 4 == hsm.count(key)
    device.message_verify_init(session, (CKM.AES_CMAC, None), key)
    device.verify_message(session, None, b"data", mac)
    assert CKR.SIGNATURE_INVALID == code(device.verify_message, session, None, b"date", mac)
    assert 6 == hsm.count(key)


@KEEPERS
def test_limit_ends_messages(hsm: Limited, token: bytes) -> None:
    """One Init gives no more messages than the limit has uses."""
    key = hsm.aes(token=token, usage_limit=TWO)
    device, session = hsm.device, hsm.session
    device.message_sign_init(session, (CKM.AES_CMAC, None), key)
    for _ in range(2):
        device.sign_message(session, None, b"data", 16)
    assert CKR.KEY_NOT_ACTIVE == code(device.sign_message, session, None, b"data", 16)
    assert CKR.KEY_NOT_ACTIVE == code(device.sign_message_begin, session, None)


def test_restored_operation_is_a_use(hsm: Limited) -> None:
    """C_SetOperationState counts one, and gives nothing beyond the limit."""
    key = hsm.aes(usage_limit=TWO)
    device, session = hsm.device, hsm.session
    device.sign_init(session, (CKM.AES_CMAC, None), key)
    device.sign_update(session, b"data")
    state = device.get_operation_state(session, 1000)
    device.set_operation_state(session, state, 0, key)
    assert 16 == len(device.sign_final(session, 16))
    assert CKR.KEY_NOT_ACTIVE == code(device.set_operation_state, session, state, 0, key)


def test_other_beginnings_are_uses(hsm: Limited) -> None:
    """C_VerifySignatureInit counts one, as C_VerifyInit; C_SignEncryptUpdate none beside its Inits."""
    key = hsm.aes(usage_count=ulong(0))
    device, session = hsm.device, hsm.session
    device.verify_signature_init(session, (CKM.AES_CMAC, None), key, bytes(16))
    assert CKR.SIGNATURE_INVALID == code(device.verify_signature, session, b"data")
    device.sign_init(session, (CKM.AES_CMAC, None), key)
    device.encrypt_init(session, (CKM.AES_ECB, None), key)
    device.sign_encrypt_update(session, bytes(32), 32)
    assert 3 == hsm.count(key)


def test_a_derivation_is_a_use(hsm: Limited) -> None:
    """C_DeriveKey counts one."""
    device = hsm.device
    pair = ((CKA.EC_PARAMS, P256),), ((CKA.USAGE_COUNT, ulong(0)), (CKA.DERIVE, TRUE))
    public, private = device.generate_key_pair(hsm.session, (CKM.EC_KEY_PAIR_GEN, None), *pair)
    parameter = Ecdh(CKD.NULL, b"", hsm.get(public, CKA.EC_POINT))
    device.derive_key(hsm.session, (CKM.ECDH1_DERIVE, parameter), private, ((CKA.VALUE_LEN, ulong(16)),))
    assert 1 == hsm.count(private)


def test_encapsulation_and_authenticated_wrapping_are_uses(hsm: Limited) -> None:
    """One each, of the key that does it; a length query and too little room count nothing; the last use is the last."""
    device, session = hsm.device, hsm.session
    limited = ((CKA.USAGE_COUNT, ulong(0)), (CKA.USAGE_LIMIT, ulong(1)))
    public, private = device.generate_key_pair(
        session, (CKM.ML_KEM_KEY_PAIR_GEN, None),
        ((CKA.PARAMETER_SET, ulong(CKP.ML_KEM_768)), *limited), limited,
    )  # fmt: skip
    kem = (CKM.ML_KEM, None)
    made = ((CKA.CLASS, ulong(CKO.SECRET_KEY)), (CKA.KEY_TYPE, ulong(CKK.AES)))
    assert (1088, 0, ()) == device.encapsulate_key(session, kem, public, made, None)
    assert CKR.BUFFER_TOO_SMALL == code(device.encapsulate_key, session, kem, public, made, 1087)
    assert 0 == hsm.count(public)
    ciphertext, key, _ = device.encapsulate_key(session, kem, public, made, 1088)
    assert CKR.KEY_NOT_ACTIVE == code(device.encapsulate_key, session, kem, public, made, 1088)
    assert device.decapsulate_key(session, kem, private, made, ciphertext)
    assert CKR.KEY_NOT_ACTIVE == code(device.decapsulate_key, session, kem, private, made, ciphertext)
    wrapping = hsm.wrapping(usage_count=ulong(0))
    gcm = (CKM.AES_GCM, GcmMessage(bytes(12), 0, 0, 16, 128))
    assert (32, ()) == device.wrap_key_authenticated(session, gcm, wrapping, key, b"", None)
    assert CKR.BUFFER_TOO_SMALL == code(device.wrap_key_authenticated, session, gcm, wrapping, key, b"", 31)
    assert 0 == hsm.count(wrapping)
    wrapped, (_, tag) = device.wrap_key_authenticated(session, gcm, wrapping, key, b"", 32)
    assert 1 == hsm.count(wrapping)
    given = (CKM.AES_GCM, GcmMessage(bytes(12), 0, 0, tag, 128))
    assert device.unwrap_key_authenticated(session, given, wrapping, wrapped, made, b"")
    assert 2 == hsm.count(wrapping)
    other = (CKM.AES_GCM, GcmWrap(bytes(12), 0, CKG.GENERATE, b"", 128))
    assert (48, ()) == device.wrap_key(session, other, wrapping, key, None)
    assert 2 == hsm.count(wrapping)
    device.wrap_key(session, other, wrapping, key, 48)
    assert 3 == hsm.count(wrapping)


def test_what_does_not_happen_is_no_use(hsm: Limited) -> None:
    """A refused Init, a length query and a buffer that is too small count nothing."""
    key, other = hsm.aes(usage_count=ulong(7)), hsm.generic(bytes(16))
    device, session = hsm.device, hsm.session
    assert CKR.MECHANISM_PARAM_INVALID == code(device.encrypt_init, session, (CKM.AES_CBC, b"short"), key)
    assert (16, ()) == device.wrap_key(session, (CKM.AES_ECB, None), key, other, None)
    assert CKR.BUFFER_TOO_SMALL == code(device.wrap_key, session, (CKM.AES_ECB, None), key, other, 15)
    assert 7 == hsm.count(key)


def test_other_keys_are_not_counted(hsm: Limited) -> None:
    """A key without the attribute never gets it, and its uses write nothing."""
    key = hsm.aes()
    before = hsm.hsm.stamp()
    hsm.use(key)
    assert (None, before) == (hsm.get(key, CKA.USAGE_COUNT), hsm.hsm.stamp())


def test_a_public_key_counts_without_a_login(hsm: Limited) -> None:
    """C_VerifyInit with a public token key counts in a read-only session after the logout too."""
    device = hsm.device
    template = ((CKA.EC_PARAMS, P256), (CKA.TOKEN, TRUE), (CKA.USAGE_COUNT, ulong(0)))
    public, _ = device.generate_key_pair(hsm.session, (CKM.EC_KEY_PAIR_GEN, None), template, ())
    device.logout(hsm.session)
    device.verify_init(hsm.read_only(), (CKM.ECDSA, None), public)
    assert 1 == hsm.count(public)


@KEEPERS
def test_threads_lose_no_count(hsm: Limited, token: bytes) -> None:
    """Threads with sessions of their own that use one key at the same time count each use."""
    key = hsm.aes(token=token, usage_count=ulong(0))
    sessions = [hsm.device.open_session(0, 6) for _ in range(4)]

    def work(session: int) -> None:
        for _ in range(10):
            hsm.device.encrypt_init(session, (CKM.AES_ECB, None), key)
            hsm.device.encrypt(session, bytes(16), 16)

    threads = [threading.Thread(target=work, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 40 == hsm.count(key)


_PROCESS = """
import sys
from hsm_directory import SO_PIN, USER_PIN
from limited import Limited
from ptkc.spec.errors import CryptokiError
hsm = Limited(sys.argv[1], existing=True)
(key,) = hsm.find(label=b"limited")
print("ready", flush=True)
sys.stdin.readline()
done = 0
try:
    for _ in range(10):
        hsm.use(key)
        done += 1
except CryptokiError as refused:
    print(done, hex(refused.code))
else:
    print(done)
"""


def _processes(directory: Path, count: int) -> list[list[str]]:
    """Return what so many processes print, which all begin when all are ready."""
    path = os.pathsep.join((str(Path(__file__).parents[1]), str(Path(__file__).parent)))
    words = [sys.executable, "-c", _PROCESS, str(directory)]
    started = [
        subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
        )
        for _ in range(count)
    ]
    for process in started:
        assert process.stdout is not None
        assert "ready" == process.stdout.readline().strip()
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [process.communicate(timeout=120)[0].split() for process in started]


def test_processes_lose_no_count(hsm: Limited, tmp_path: Path) -> None:
    """Three processes that use one key ten times each, at the same time, count thirty."""
    key = hsm.aes(usage_count=ulong(0))
    assert [["10"]] * 3 == _processes(tmp_path, 3)
    assert 30 == hsm.count(key)


def test_processes_share_a_limit(hsm: Limited, tmp_path: Path) -> None:
    """Of thirty uses by three processes a limit of seventeen lets seventeen be, and refuses the others."""
    key = hsm.aes(usage_limit=ulong(17))
    results = _processes(tmp_path, 3)
    assert 17 == sum(int(result[0]) for result in results)
    assert {hex(CKR.KEY_NOT_ACTIVE)} == {result[1] for result in results if len(result) > 1}
    assert 17 == hsm.count(key)


def test_a_count_that_cannot_be_written_is_no_use(hsm: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operation does not begin if the store refuses the count."""
    key = hsm.aes(usage_count=ulong(0))

    def refuse(*_: object) -> int:
        raise CryptokiError(CKR.DEVICE_MEMORY, "no room")

    with monkeypatch.context() as patch:
        patch.setattr(Token, "replace", refuse)
        assert CKR.DEVICE_MEMORY == code(hsm.use, key)
    hsm.use(key)
    assert 1 == hsm.count(key)


# Limits


@KEEPERS
def test_a_limit_ends_the_key(hsm: Limited, token: bytes) -> None:
    """After as many uses as CKA_USAGE_LIMIT says every use is CKR_KEY_NOT_ACTIVE, and the count stands."""
    key = hsm.aes(token=token, usage_limit=TWO)
    assert 0 == hsm.count(key)
    hsm.use(key)
    hsm.use(key)
    for _ in range(2):
        assert CKR.KEY_NOT_ACTIVE == code(hsm.use, key)
    assert 2 == hsm.count(key)


def test_a_limit_may_be_set_once(hsm: Limited) -> None:
    """Later, too; then neither limit nor count nor who issues tickets may change: CKR_ATTRIBUTE_READ_ONLY."""
    key = hsm.aes()
    hsm.set(key, usage_count=ulong(5))
    hsm.set(key, usage_count=ulong(1))
    hsm.set(key, usage_limit=TWO)
    hsm.set(key, usage_limit=TWO)
    for change in ({"usage_limit": ulong(3)}, {"usage_count": ulong(0)}, {"admin_cert": DER}):
        assert CKR.ATTRIBUTE_READ_ONLY == code(hsm.set, key, **change)
    hsm.use(key)
    assert CKR.KEY_NOT_ACTIVE == code(hsm.use, key)


def test_a_count_does_not_begin_anew(hsm: Limited) -> None:
    """A CK_ULONG ends: beyond it a use is CKR_KEY_NOT_ACTIVE, limit or none."""
    key = hsm.aes(usage_count=ulong(2**64 - 2))
    hsm.use(key)
    assert CKR.KEY_NOT_ACTIVE == code(hsm.use, key)
    assert 2**64 - 1 == hsm.count(key)


def test_a_digest_of_a_key_is_a_use(hsm: Limited) -> None:
    """C_DigestKey counts, and is CKR_KEY_NOT_ACTIVE at the limit: the digest ends."""
    key = hsm.generic(b"value", usage_limit=ONE)
    hsm.device.digest_init(hsm.session, (CKM.SHA256, None))
    hsm.device.digest_key(hsm.session, key)
    assert CKR.KEY_NOT_ACTIVE == code(hsm.device.digest_key, hsm.session, key)
    assert CKR.OPERATION_NOT_INITIALIZED == code(hsm.device.digest_final, hsm.session, 32)
    assert 1 == hsm.count(key)


def test_who_issues_tickets_is_said_once(hsm: Limited) -> None:
    """CKA_ADMIN_CERT may be added before there is a limit; then it and the dates are closed."""
    key = hsm.aes()
    assert CKR.ATTRIBUTE_VALUE_INVALID == code(hsm.set, key, admin_cert=b"no certificate")
    hsm.set(key, admin_cert=DER, start_date=b"20200101")
    for change in ({"admin_cert": b"\x30\0"}, {"start_date": b""}, {"end_date": b"20990101"}):
        assert CKR.ATTRIBUTE_READ_ONLY == code(hsm.set, key, **change)
    hsm.set(key, usage_limit=ONE)


@pytest.mark.parametrize("attribute", ["time_stamp", "key_size"])
def test_what_only_the_hsm_says_is_refused(hsm: Limited, attribute: str) -> None:
    """CKA_TIME_STAMP and CKA_KEY_SIZE are in no template."""
    value = ulong(1) if attribute == "key_size" else b"2026010100000000"
    expected = CKR.TEMPLATE_INCONSISTENT if attribute == "key_size" else CKR.ATTRIBUTE_READ_ONLY
    assert expected == code(hsm.aes, **{attribute: value})


# Dates


@pytest.fixture
def noon(hsm: Limited) -> bytes:
    """Set the HSM's clock to noon of a day, and return the day."""
    hsm.hsm.set_clock(timegm((2031, 3, 1, 12, 0, 0)))
    return b"20310301"


@pytest.mark.parametrize(
    ("dates", "active"),
    [
        ({"start_date": b"20310301"}, True),
        ({"end_date": b"20310301"}, True),
        ({"start_date": b"20310301", "end_date": b"20310301"}, True),
        ({"start_date": b"20310302"}, False),
        ({"end_date": b"20310228"}, False),
        ({"start_date": b"20310401", "end_date": b"20300101"}, False),
    ],
)
def test_limited_keys_are_held_to_their_dates(
    hsm: Limited, noon: bytes, dates: dict[str, bytes], *, active: bool
) -> None:
    """By the HSM's clock, GMT: both days belong to the time; CKR_KEY_NOT_ACTIVE outside, and nothing is counted."""
    assert b"20310301" == noon
    key = hsm.aes(usage_count=ulong(0), **dates)
    if active:
        hsm.use(key)
    else:
        assert CKR.KEY_NOT_ACTIVE == code(hsm.use, key)
    assert int(active) == hsm.count(key)


def test_a_certificate_makes_dates_count_too(hsm: Limited, noon: bytes) -> None:
    """A key with CKA_ADMIN_CERT alone is held to its dates, and counts nothing."""
    key = hsm.aes(admin_cert=DER, end_date=b"20310228")
    assert CKR.KEY_NOT_ACTIVE == code(hsm.use, key)
    assert (b"20310301", None) == (noon, hsm.get(key, CKA.USAGE_COUNT))


def test_dates_of_other_keys_are_the_applications_business(hsm: Limited, noon: bytes) -> None:
    """As the specification says: CKA_END_DATE alone restricts nothing."""
    assert b"20310301" == noon
    hsm.use(hsm.aes(end_date=b"20200101"))


# Copies


@pytest.mark.parametrize("kept", [TRUE, FALSE])
@KEEPERS
def test_a_copy_of_a_key_with_a_limit_replaces_it(hsm: Limited, token: bytes, kept: bytes) -> None:
    """There is one key before and one after, with as many uses left."""
    key = hsm.aes(token=token, usage_limit=TWO)
    hsm.use(key)
    copy = hsm.device.copy_object(hsm.session, key, ((CKA.TOKEN, kept),))
    assert [copy] == hsm.find(label=b"limited")
    assert CKR.KEY_HANDLE_INVALID == code(hsm.use, key)
    hsm.use(copy)
    assert CKR.KEY_NOT_ACTIVE == code(hsm.use, copy)


def test_a_copy_of_a_key_that_counts_is_another_key(hsm: Limited) -> None:
    """Without a limit both are there, each with its own count."""
    key = hsm.aes(usage_count=ulong(4))
    copy = hsm.device.copy_object(hsm.session, key, ())
    hsm.use(copy)
    assert (4, 5) == (hsm.count(key), hsm.count(copy))


@pytest.mark.parametrize("closed", ["destroyable", "deletable"])
def test_what_cannot_go_is_not_copied(hsm: Limited, closed: str) -> None:
    """CKR_ACTION_PROHIBITED, and the key is as it was."""
    key = hsm.aes(usage_limit=ONE, **{closed: FALSE})
    assert CKR.ACTION_PROHIBITED == code(hsm.device.copy_object, hsm.session, key, ())
    hsm.use(key)


def test_a_copy_needs_a_session_that_may_destroy(hsm: Limited) -> None:
    """CKR_SESSION_READ_ONLY for the session copy of a token key with a limit."""
    key = hsm.aes(usage_limit=ONE)
    refused = code(hsm.device.copy_object, hsm.read_only(), key, ((CKA.TOKEN, FALSE),))
    assert CKR.SESSION_READ_ONLY == refused
    hsm.use(key)


def test_a_copy_that_is_refused_takes_nothing(hsm: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the copy cannot be stored the original has the uses that it had."""
    key = hsm.aes(usage_limit=TWO)

    def refuse(*_: object) -> list[int]:
        raise CryptokiError(CKR.DEVICE_MEMORY, "no room")

    with monkeypatch.context() as patch:
        patch.setattr(Token, "add_many", refuse)
        assert CKR.DEVICE_MEMORY == code(hsm.device.copy_object, hsm.session, key, ())
    hsm.use(key)
    hsm.use(key)
    assert CKR.KEY_NOT_ACTIVE == code(hsm.use, key)


@pytest.mark.parametrize("destroyed", [False, True])
def test_a_copy_that_is_there_is_answered(hsm: Limited, monkeypatch: pytest.MonkeyPatch, *, destroyed: bool) -> None:
    """If the original cannot be removed, or was by somebody else, it is of no use; the copy has all that it had."""
    key = hsm.aes(usage_limit=TWO)
    remove = Token.remove

    def refuse(token: Token, number: int, *_: object) -> None:
        if destroyed:
            remove(token, number)
        raise CryptokiError(CKR.OBJECT_HANDLE_INVALID if destroyed else CKR.DEVICE_MEMORY, "")

    with monkeypatch.context() as patch:
        patch.setattr(Token, "remove", refuse)
        copy = hsm.device.copy_object(hsm.session, key, ())
    assert code(hsm.use, key) == (CKR.KEY_HANDLE_INVALID if destroyed else CKR.KEY_NOT_ACTIVE)
    hsm.use(copy)
    hsm.use(copy)
    assert CKR.KEY_NOT_ACTIVE == code(hsm.use, copy)


def test_a_use_during_a_copy_is_not_lost(hsm: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is counted between the look at the original and its end is the copy's too."""
    key = hsm.aes(usage_limit=TWO, token=FALSE)
    exchange = Application.exchange
    uses = [key]

    def between(self: Application, handle: int, former: Object, obj: Object) -> bool:
        while uses:
            hsm.use(uses.pop())
        return exchange(self, handle, former, obj)

    monkeypatch.setattr(Application, "exchange", between)
    assert 1 == hsm.count(hsm.device.copy_object(hsm.session, key, ()))


@pytest.mark.parametrize("limit", [{"usage_limit": ONE}, {"admin_cert": DER, "end_date": b"20200101"}])
def test_a_key_with_a_limit_is_not_wrapped(hsm: Limited, limit: dict[str, bytes]) -> None:
    """Outside nobody would count, or look at the dates: CKR_KEY_NOT_WRAPPABLE."""
    key = hsm.aes(extractable=TRUE, **limit)
    wrapper = hsm.aes()
    for mechanism in (CKM.AES_KEY_WRAP, CKM.WRAPKEY_AES_KWP):
        assert CKR.KEY_NOT_WRAPPABLE == code(hsm.device.wrap_key, hsm.session, (mechanism, None), wrapper, key, 1000)


def test_a_key_with_a_limit_is_not_had_by_cutting_it(hsm: Limited) -> None:
    """CKM_EXTRACT_KEY_FROM_KEY of all of it would be the key without the limit: CKR_KEY_FUNCTION_NOT_PERMITTED."""
    hsm.hsm.set_policy(security_mode=CKF.WEAK_PKCS11_MECHANISM)
    cut = (CKM.EXTRACT_KEY_FROM_KEY, Extract(0))
    template = ((CKA.VALUE_LEN, ulong(8)),)
    key = hsm.generic(b"12345678", derive=TRUE, usage_limit=ONE)
    assert CKR.KEY_FUNCTION_NOT_PERMITTED == code(hsm.device.derive_key, hsm.session, cut, key, template)
    assert 0 == hsm.count(key)
    key = hsm.generic(b"12345678", derive=TRUE, wrap_with_trusted=TRUE)
    assert TRUE == hsm.get(hsm.device.derive_key(hsm.session, cut, key, template)[0], CKA.WRAP_WITH_TRUSTED)


# CKA_DELETABLE, CKA_EXPORT, CKA_EXPORTABLE, CKA_IMPORT


def test_what_is_not_deletable_stays(hsm: Limited) -> None:
    """C_DestroyObject is CKR_OBJECT_READ_ONLY; CKA_DELETABLE may become false, and never true again."""
    key = hsm.aes()
    hsm.set(key, deletable=TRUE)
    hsm.set(key, deletable=FALSE)
    assert CKR.ATTRIBUTE_READ_ONLY == code(hsm.set, key, deletable=TRUE)
    assert CKR.OBJECT_READ_ONLY == code(hsm.device.destroy_object, hsm.session, key)
    hsm.use(key)


@pytest.mark.parametrize("attribute", ["export", "import"])
def test_the_user_makes_no_keys_that_the_so_controls(hsm: Limited, attribute: str) -> None:
    """CKA_EXPORT and CKA_IMPORT are for the SO to set: CKR_ATTRIBUTE_READ_ONLY."""
    attribute = attribute.upper()
    assert CKR.ATTRIBUTE_READ_ONLY == code(hsm.aes, **{attribute: TRUE})
    assert CKR.ATTRIBUTE_READ_ONLY == code(hsm.set, hsm.aes(), **{attribute: TRUE})
    hsm.aes(**{attribute: FALSE})


@pytest.fixture
def exporting(hsm: Limited) -> int:
    """Return a CKA_EXPORT key that the SO made, in a session of the user."""
    device, session = hsm.device, hsm.session
    device.logout(session)
    device.login(session, CKU.SO, SO_PIN)
    uses = dict.fromkeys(("encrypt", "decrypt", "sign", "verify", "unwrap", "derive"), FALSE)
    key = hsm.aes(private=FALSE, EXPORT=TRUE, **uses)
    device.logout(session)
    device.login(session, CKU.USER, USER_PIN)
    return key


def test_an_exportable_key_leaves_under_an_export_key_only(hsm: Limited, exporting: int) -> None:
    """It is CKR_KEY_UNEXTRACTABLE with any other wrapping key; CKA_EXPORTABLE is said when the key is made."""
    key, other, wrapper = hsm.aes(EXPORTABLE=TRUE), hsm.aes(), hsm.aes()
    wrap, session = hsm.device.wrap_key, hsm.session
    assert 24 == len(wrap(session, (CKM.AES_KEY_WRAP, None), exporting, key, 100)[0])
    assert CKR.KEY_UNEXTRACTABLE == code(wrap, session, (CKM.AES_KEY_WRAP, None), wrapper, key, 100)
    assert CKR.KEY_UNEXTRACTABLE == code(wrap, session, (CKM.AES_KEY_WRAP, None), exporting, other, 100)
    assert CKR.ATTRIBUTE_READ_ONLY == code(hsm.set, other, EXPORTABLE=TRUE)


@pytest.mark.parametrize(
    "change",
    [
        {"decrypt": TRUE}, {"sign": TRUE}, {"derive": TRUE}, {"extractable": TRUE}, {"sensitive": FALSE},
        {"encrypt": TRUE}, {"unwrap": TRUE}, {"verify": TRUE},
    ],
)  # fmt: skip
def test_an_export_key_is_good_for_nothing_else(hsm: Limited, exporting: int, change: dict[str, bytes]) -> None:
    """Not made for another use (CKR_TEMPLATE_INCONSISTENT), not copied to one, not modified (CKR_ACTION_PROHIBITED)."""
    device, session = hsm.device, hsm.session
    for more in (change, {**change, "EXPORT": FALSE}, {"EXPORT": FALSE}):
        assert CKR.ACTION_PROHIBITED == code(device.copy_object, session, exporting, hsm.template({}, more))
    device.copy_object(session, exporting, hsm.template({}, {"token": FALSE}))
    assert CKR.ACTION_PROHIBITED == code(hsm.set, exporting, label=b"other")
    device.logout(session)
    device.login(session, CKU.SO, SO_PIN)
    uses = dict.fromkeys(("encrypt", "decrypt", "sign", "verify", "unwrap", "derive"), FALSE)
    made = {"private": FALSE, "EXPORT": TRUE, **uses, **change}
    assert CKR.TEMPLATE_INCONSISTENT == code(hsm.aes, **made)


def test_an_export_key_needs_not_be_told_what_it_is_not(hsm: Limited) -> None:
    """With CKA_EXPORT alone the rest follows, and CKA_WRAP may be false: then it wraps what is exportable only."""
    device, session = hsm.device, hsm.session
    device.logout(session)
    device.login(session, CKU.SO, SO_PIN)
    template = {CKA.PRIVATE: FALSE, CKA.EXPORT: TRUE, CKA.WRAP: FALSE, CKA.VALUE_LEN: ulong(32), CKA.TOKEN: TRUE}
    exporting, _ = device.generate_key(session, (CKM.AES_KEY_GEN, None), tuple(template.items()))
    assert (FALSE, FALSE, FALSE) == tuple(hsm.get(exporting, kind) for kind in (CKA.DECRYPT, CKA.SIGN, CKA.MODIFIABLE))
    device.logout(session)
    device.login(session, CKU.USER, USER_PIN)
    key, other = hsm.aes(EXPORTABLE=TRUE), hsm.aes(extractable=TRUE)
    device.wrap_key(session, (CKM.AES_KEY_WRAP, None), exporting, key, 100)
    refused = code(device.wrap_key, session, (CKM.AES_KEY_WRAP, None), exporting, other, 100)
    assert CKR.KEY_NOT_WRAPPABLE == refused


def test_an_import_key_unwraps_with_one_mechanism(hsm: Limited) -> None:
    """CKA_IMPORT without CKA_UNWRAP: CKM_WRAPKEY_AES_KWP, else CKR_MECHANISM_INVALID."""
    device, session = hsm.device, hsm.session
    device.logout(session)
    device.login(session, CKU.SO, SO_PIN)
    importing = hsm.aes(private=FALSE, IMPORT=TRUE, unwrap=FALSE)
    device.logout(session)
    device.login(session, CKU.USER, USER_PIN)
    key = hsm.aes(extractable=TRUE, token=FALSE, sensitive=FALSE)
    made = ((CKA.CLASS, ulong(CKO.SECRET_KEY)), (CKA.KEY_TYPE, ulong(CKK.AES)))
    for mechanism, expected in ((CKM.AES_KEY_WRAP, CKR.MECHANISM_INVALID), (CKM.WRAPKEY_AES_KWP, None)):
        wrapped, _ = device.wrap_key(session, (mechanism, None), importing, key, 2000)
        if expected:
            assert expected == code(device.unwrap_key, session, (mechanism, None), importing, wrapped, made)
        else:
            assert device.unwrap_key(session, (mechanism, None), importing, wrapped, ())
