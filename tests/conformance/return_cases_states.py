"""Return codes of saved states and of asynchronous sessions."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from ptkc.spec.constants import CKA, CKF, CKM, CKR

from .binding import ffi
from .cryptoki import NULL, Refused, Session, Template
from .derivations import pbkdf2
from .keys import aes
from .parameters import Mechanism
from .return_bench import Bench, Case, alone, case, cases, flip
from .right_calls import NEW_AES, begin

_ASYNC = CKF.SERIAL_SESSION | CKF.RW_SESSION | CKF.ASYNC_SESSION
_PAIR_GEN = Mechanism(CKM.RSA_PKCS_KEY_PAIR_GEN)


def _restored(change: Callable[[bytes], bytes] = bytes, **keys: int) -> Case:
    def story(bench: Bench) -> None:
        begin(bench.session, "C_DigestInit")
        state = bench.session.output("C_GetOperationState")
        given = {"encryption_key": 0, "authentication_key": 0, **keys}
        alone(bench.session, "C_SetOperationState", state=change(state), **given)

    return story


def _restored_mac(key: Callable[[Session], int]) -> Case:
    def story(bench: Bench) -> None:
        begin(bench.session, "C_SignInit")
        state = bench.session.output("C_GetOperationState")
        given = {"encryption_key": 0, "authentication_key": key(bench.session)}
        alone(bench.session, "C_SetOperationState", state=state, **given)

    return story


cases("SAVED_STATE_INVALID", SetOperationState=_restored(flip), AsyncJoin=lambda bench: bench.call("C_AsyncJoin"))
cases("KEY_NOT_NEEDED", SetOperationState=_restored(encryption_key=1))
cases("KEY_NEEDED", SetOperationState=_restored_mac(lambda _: 0))
cases("KEY_CHANGED", SetOperationState=_restored_mac(lambda session: aes(session, bytes(16), SIGN=True)))


@case("C_GetOperationState", "STATE_UNSAVEABLE")
def _unsaveable(bench: Bench) -> None:
    bench.call("C_DigestKey")
    bench.session.output("C_GetOperationState")


# Asynchronous sessions


def _generate_slowly(bench: Bench) -> None:
    template = Template({CKA.MODULUS_BITS: 3072})
    private, handles = Template({}), ffi.new("CK_ULONG[2]")
    bench.session.call(
        "C_GenerateKeyPair", _PAIR_GEN.pointer, template.array, template.count, private.array, 0, handles, handles + 1
    )


def _secret_slowly(bench: Bench) -> None:
    """Make a key of a password, with many iterations."""
    alone(bench.session, "C_GenerateKey", mechanism=pbkdf2(b"password", b"salt", 1_000_000), template=_PASSWORD_KEY)


_PASSWORD_KEY = {**NEW_AES, CKA.VALUE_LEN: 32}


@case("C_GenerateKey", "PENDING")
def _secret_pending(bench: Bench) -> None:
    bench.session = bench.cryptoki.open(bench.slot, _ASYNC)
    _secret_slowly(bench)


@case("C_GenerateKey", "OPERATION_ACTIVE")
def _secret_twice(bench: Bench) -> None:
    try:
        _secret_pending(bench)
    except Refused as refused:
        if refused.rv != CKR.PENDING:
            raise
    _secret_slowly(bench)


def _pending(bench: Bench) -> Bench:
    """Have the generation of a key pair go on in the background of a session."""
    bench.session = bench.cryptoki.open(bench.slot, _ASYNC)
    try:
        _generate_slowly(bench)
    except Refused as refused:
        if refused.rv != CKR.PENDING:
            raise
    return bench


_NAME = b"C_GenerateKeyPair\0"


def _numbered(bench: Bench) -> int:
    number = ffi.new("CK_ULONG *")
    bench.session.call("C_AsyncGetID", _NAME, number)
    return int(number[0])


def _joined(bench: Bench) -> None:
    number = _numbered(bench)
    bench.cryptoki.open(bench.slot, _ASYNC).call("C_AsyncJoin", _NAME, number, NULL, 0)


def _completed(bench: Bench) -> None:
    end = monotonic() + 60
    while True:
        try:
            bench.session.call("C_AsyncComplete", _NAME, ffi.new("CK_ASYNC_DATA *"))
        except Refused as refused:
            if refused.rv != CKR.PENDING or monotonic() > end:
                raise
        else:
            return


cases(
    "PENDING",
    GenerateKeyPair=lambda bench: (
        setattr(bench, "session", bench.cryptoki.open(bench.slot, _ASYNC)), _generate_slowly(bench)
    ),
    AsyncComplete=lambda bench: _pending(bench).session.call("C_AsyncComplete", _NAME, ffi.new("CK_ASYNC_DATA *")),
)  # fmt: skip

cases(
    "OK",
    AsyncComplete=lambda bench: _completed(_pending(bench)),
    AsyncGetID=lambda bench: _numbered(_pending(bench)),
    AsyncJoin=lambda bench: _joined(_pending(bench)),
)
cases("OPERATION_ACTIVE", GenerateKeyPair=lambda bench: (_pending(bench), _generate_slowly(bench)))
