"""Padding oracles: neither the code nor what is called tells how a padding was wrong, nor, of PKCS #1 v1.5, whether.

CBC padding has to be refused where it is wrong, but with one code by one path, and unwrapping does not tell wrong
padding from a key that does not fit. PKCS #1 v1.5 has no wrong padding at all: other bytes come out (implicit
rejection). The calls are those of Python and of its libraries, recorded through the shared object in this process.
"""

from __future__ import annotations

import contextlib
import gc
import secrets
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from conformance import keys
from conformance.cryptoki import Cryptoki, Refused, Session
from conformance.fresh_token import USER_PIN, prepare
from conformance.parameters import Mechanism
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from lengths import TIMED
from modules import Module

from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR

_IV = b"an iv of sixteen"
_CBC = Mechanism(CKM.AES_CBC_PAD, _IV)
_PKCS = Mechanism(CKM.RSA_PKCS)
_SECRET = {CKA.CLASS: CKO.SECRET_KEY, CKA.SENSITIVE: False, CKA.EXTRACTABLE: True}
_AES, _GENERIC = {**_SECRET, CKA.KEY_TYPE: CKK.AES}, {**_SECRET, CKA.KEY_TYPE: CKK.GENERIC_SECRET}
_PRIVATE = {CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: CKK.RSA, CKA.SENSITIVE: False}
_MODULUS = 256

# The last block of what is decrypted: no length that there is, then lengths that the bytes before do not bear out.
_WRONG_ENDS = [
    bytes(16), b"\0" * 15 + b"\x11", b"\xff" * 16, b"\0" * 15 + b"\2", b"\0" * 14 + b"\3\3", b"\1" + b"\x10" * 15,
]  # fmt: skip


@pytest.fixture(scope="module")
def session(module: Module, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Give a session of the user, in this process."""
    if not module.ours:
        pytest.skip("what is called is looked at inside our module")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in module.settings(tmp_path_factory.mktemp("oracles")).items():
            patch.setenv(name, value)
        cryptoki = Cryptoki(module.path)
        cryptoki.initialize()
        opened = cryptoki.open(prepare(cryptoki))
        opened.login(USER_PIN)
        yield opened
        cryptoki.finalize()


@pytest.fixture(scope="module")
def aes(session: Session) -> int:
    """Give an AES key of a known value that does everything."""
    return keys.aes(session)


@pytest.fixture(scope="module")
def rsa(session: Session) -> int:
    """Give an RSA private key that decrypts, unwraps and decapsulates."""
    uses = dict.fromkeys((CKA.DECRYPT, CKA.UNWRAP, CKA.DECAPSULATE), True)
    return keys.import_rsa(session, keys.private_rsa(2048), {}, uses)[1]


def _sealed(plain: bytes) -> bytes:
    """Return whole blocks as CBC encrypts them, whatever stands at their end."""
    encryptor = Cipher(algorithms.AES(keys.AES_KEY), modes.CBC(_IV)).encryptor()
    return encryptor.update(plain) + encryptor.finalize()


def _padded(plain: bytes) -> bytes:
    """Return bytes of any length, padded as they should be, encrypted."""
    count = 16 - len(plain) % 16
    return _sealed(plain + bytes([count]) * count)


def _encrypted(block: bytes) -> bytes:
    """Return the raw RSA encryption of a padded block."""
    numbers = keys.private_rsa(2048).public_key().public_numbers()
    return pow(int.from_bytes(block, "big"), numbers.e, numbers.n).to_bytes(_MODULUS, "big")


def _raw(data: bytes) -> bytes:
    """Return the padded block that was encrypted."""
    numbers = keys.private_rsa(2048).private_numbers()
    return pow(int.from_bytes(data, "big"), numbers.d, numbers.public_numbers.n).to_bytes(_MODULUS, "big")


def _blocks(message: bytes) -> dict[str, bytes]:
    """Return blocks of PKCS #1 v1.5: a right one, and each way in which one can be wrong."""
    filling = bytes(secrets.choice(range(1, 256)) for _ in range(_MODULUS - 3 - len(message)))
    right = b"\0\2" + filling + b"\0" + message
    return {
        "right": right,
        "first byte": b"\1" + right[1:],
        "block type 1": b"\0\1" + right[2:],
        "block type 0": b"\0\0" + right[2:],
        "zero in the padding": right[:5] + b"\0" + right[6:],
        "no end": b"\0\2" + bytes(secrets.choice(range(1, 256)) for _ in range(_MODULUS - 2)),
        "random": b"\0" + secrets.choice([b"\0", b"\1", b"\3", b"\xff"]) + secrets.token_bytes(_MODULUS - 2),
    }


def _ciphertexts(session: Session, rsa: int, message: bytes, fits: Callable[[int], bool]) -> dict[str, bytes]:
    """Return the blocks of `_blocks` encrypted.

    The length of what stands in for a message is drawn from 0 to 245 bytes by libcrypto, from key and ciphertext: wrong
    blocks are made anew until it `fits`, so that nothing here happens by chance.
    """
    ciphertexts = {}
    for name in _blocks(message):
        while name not in ciphertexts:
            data = _encrypted(_blocks(message)[name])
            if name == "right" or fits(len(_decrypt(session, _PKCS, rsa, data))):
                ciphertexts[name] = data
    return ciphertexts


def _outcome(call: Callable[[], Any]) -> tuple[int, list[str]]:
    """Return the code of a call and what was called for it, in Python and by it, until it ended."""
    called: list[str] = []

    def seen(frame: Any, event: str, argument: Any) -> None:  # noqa: ANN401 - as the interpreter gives them
        if event == "call":
            called.append(frame.f_code.co_qualname if hasattr(frame.f_code, "co_qualname") else frame.f_code.co_name)
        elif event == "c_call":
            called.append(getattr(argument, "__qualname__", repr(argument)))

    code: int = CKR.OK
    gc.disable()  # a collection, and what is called at one, would come with any of the calls
    sys.setprofile(seen)
    try:
        call()
    except Refused as refused:
        code = refused.rv
    finally:
        sys.setprofile(None)
        gc.enable()
    return code, called


def _same(calls: list[Callable[[], Any]]) -> int:
    """Assert that all calls have the same code by the same path; return the code."""
    _outcome(calls[0])  # what is made once, and kept
    outcomes = [_outcome(call) for call in calls]
    assert [outcomes[0]] * len(outcomes) == outcomes
    assert len(outcomes[0][1]) > 10
    return outcomes[0][0]


def _decryption(session: Session, mechanism: Mechanism, key: int, data: bytes) -> Callable[[], Any]:
    """Return a decryption in one part, begun already."""
    return partial(_decrypt, session, mechanism, key, data)


def _decrypt(session: Session, mechanism: Mechanism, key: int, data: bytes) -> bytes:
    """Decrypt with room for whatever comes, so that the length asks for no second call."""
    from conformance.binding import ffi  # noqa: PLC0415 - beside its one use

    session.init("Decrypt", mechanism, key)
    length, buffer = ffi.new("CK_ULONG *", _MODULUS), ffi.new("CK_BYTE[]", _MODULUS)
    session.call("C_Decrypt", data, len(data), buffer, length)
    return bytes(buffer[0 : length[0]])


def test_all_wrong_cbc_paddings_are_one(session: Session, aes: int) -> None:
    """CKR_ENCRYPTED_DATA_INVALID by the same calls, in one part and in several, of one block and of more."""
    for front in (b"", bytes(32)):
        sealed = [_sealed(front + end) for end in _WRONG_ENDS]
        assert CKR.ENCRYPTED_DATA_INVALID == _same([_decryption(session, _CBC, aes, data) for data in sealed])
        parts = [partial(session.cipher_parts, "Decrypt", _CBC, aes, [data[:7], data[7:]]) for data in sealed]
        assert CKR.ENCRYPTED_DATA_INVALID == _same(parts)


@pytest.mark.parametrize("template", [_AES, _PRIVATE], ids=["secret", "private"])
def test_unwrapping_does_not_tell_padding_from_key(session: Session, aes: int, template: dict[int, Any]) -> None:
    """A wrong padding and a right one around what is no key have one code."""
    plains = [bytes(32) + end for end in _WRONG_ENDS]
    for size in (1, 15, 17, 33, 40):
        count = 16 - size % 16
        plains.append(b"k" * size + bytes([count]) * count)
    codes = {_outcome(partial(session.unwrap, _CBC, aes, _sealed(plain), template))[0] for plain in plains}
    assert {CKR.WRAPPED_KEY_INVALID} == codes


def test_a_wrapping_key_makes_no_secret_of_any_length_by_padding(session: Session) -> None:
    """Whatever the padding is: CKR_TEMPLATE_INCONSISTENT; nor does it wrap one so, CKR_KEY_NOT_WRAPPABLE."""
    pure = keys.generate_aes(session, WRAP=True, UNWRAP=True)
    other = keys.generate_aes(session, EXTRACTABLE=True)
    wrapped = session.wrap(_CBC, pure, other)
    template = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.GENERIC_SECRET}
    ends = [wrapped[:-32] + wrapped[-32:-17] + bytes([byte]) + wrapped[-16:] for byte in range(0, 256, 5)]
    for data in (wrapped, *ends):
        assert CKR.TEMPLATE_INCONSISTENT == _outcome(partial(session.unwrap, _CBC, pure, data, template))[0]
    assert CKR.KEY_NOT_WRAPPABLE == _outcome(partial(session.wrap, _CBC, pure, keys.generic(session, bytes(20))))[0]
    assert session.unwrap(_CBC, pure, wrapped, {**template, CKA.KEY_TYPE: CKK.AES})


def _long(length: int) -> bool:
    """Whether so many random bytes are found nowhere by chance."""
    return length >= 32


def test_pkcs1_decrypts_whatever_it_gets(session: Session, rsa: int) -> None:
    """CKR_OK by the same calls for right and wrong; wrong bytes are the same each time, and nobody's message."""
    message = secrets.token_bytes(40)
    ciphertexts = _ciphertexts(session, rsa, message, _long)
    assert CKR.OK == _same([_decryption(session, _PKCS, rsa, data) for data in ciphertexts.values()])
    assert message == _decrypt(session, _PKCS, rsa, ciphertexts.pop("right"))
    for data in ciphertexts.values():
        first = _decrypt(session, _PKCS, rsa, data)
        assert first == _decrypt(session, _PKCS, rsa, data)
        assert message not in first
        assert first not in _raw(data)


def test_pkcs1_unwraps_whatever_it_gets(session: Session, rsa: int) -> None:
    """Into a secret of any length: a key for right and wrong, by the same calls; C_DecapsulateKey too."""
    ciphertexts = _ciphertexts(session, rsa, secrets.token_bytes(40), _long).values()
    for call in (
        lambda data: session.unwrap(_PKCS, rsa, data, _GENERIC),
        lambda data: session.decapsulate(_PKCS, rsa, _GENERIC, data),
    ):
        assert CKR.OK == _same([partial(call, data) for data in ciphertexts])


def test_pkcs1_unwraps_wrong_bytes_as_a_key_of_another_length(session: Session, rsa: int) -> None:
    """A wrong padding is what a right one around no AES key is: CKR_WRAPPED_KEY_LEN_RANGE."""
    ciphertexts = _ciphertexts(session, rsa, bytes(40), lambda length: length not in {16, 24, 32})
    codes = {_outcome(partial(session.unwrap, _PKCS, rsa, data, _AES))[0] for data in ciphertexts.values()}
    assert {CKR.WRAPPED_KEY_LEN_RANGE} == codes


def test_oaep_has_one_code(session: Session, rsa: int) -> None:
    """CKR_ENCRYPTED_DATA_INVALID by the same calls, whatever is wrong: first byte, label, hash or end (Manger)."""
    from conformance.parameters import oaep  # noqa: PLC0415 - beside its one use

    public = keys.private_rsa(2048).public_key()
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - as above

    labelled = public.encrypt(b"m", padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), b"l"))  # noqa: S303
    wrong = [labelled, _encrypted(b"\1" + bytes(255)), _encrypted(b"\0" + secrets.token_bytes(255))]
    assert CKR.ENCRYPTED_DATA_INVALID == _same([_decryption(session, oaep(), rsa, data) for data in wrong])


# The time that is left


def _times(session: Session, mechanism: Mechanism, key: int, several: list[bytes], count: int) -> list[float]:
    """Return the median time in microseconds of a decryption of each, taken in turn so that all share the weather."""
    taken: list[list[int]] = [[] for _ in several]
    order = list(range(len(several)))
    for _ in range(count):
        secrets.SystemRandom().shuffle(order)
        for place in order:
            session.init("Decrypt", mechanism, key)
            begin = time.perf_counter_ns()
            with contextlib.suppress(Refused):
                session.call("C_Decrypt", several[place], len(several[place]), _ROOM, _LENGTH)
            taken[place].append(time.perf_counter_ns() - begin)
            _LENGTH[0] = _MODULUS
    return [statistics.median(times) / 1000 for times in taken]


def _memory() -> tuple[Any, Any]:
    from conformance.binding import ffi  # noqa: PLC0415 - beside its one use

    return ffi.new("CK_BYTE[]", _MODULUS), ffi.new("CK_ULONG *", _MODULUS)


_ROOM, _LENGTH = _memory()


@pytest.mark.soak
def test_time_tells_little(session: Session, aes: int, rsa: int) -> None:
    """Medians of many decryptions in turn differ by little more than two of the same differ: docs/security.md.

    The same ciphertext is there twice, so that what the measurement itself makes is seen.
    """
    blocks = _ciphertexts(session, rsa, secrets.token_bytes(40), _long)
    several = [blocks["right"], blocks["right"], blocks["block type 1"], blocks["no end"], blocks["random"]]
    for name, mechanism, key, data in (
        ("PKCS #1 v1.5", _PKCS, rsa, several),
        ("CBC", _CBC, aes, [_sealed(bytes(32) + end) for end in (_WRONG_ENDS[0], *_WRONG_ENDS)]),
    ):
        medians = _times(session, mechanism, key, data, TIMED if mechanism is _CBC else TIMED // 4)
        same, most = abs(medians[0] - medians[1]), max(medians) - min(medians)
        print(f"{name}: median {medians[0]:.2f} us, the same twice {same:.3f} us, all {most:.3f} us")
        assert most <= same + 0.05 * medians[0]
