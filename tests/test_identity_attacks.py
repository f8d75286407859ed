"""What an Administrator, or whoever brings certificates, cannot make of the HSM's identity, clock and policy."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from asn1crypto import x509 as asn1x509
from boards import (
    ADMIN_PIN,
    READ_WRITE,
    Board,
    board,
    paths_of,
    self_signed,
    template,
    two,
)
from encoded import extension, sequence

from ptkc.hsm.application import Application
from ptkc.hsm.device import LocalDevice
from ptkc.hsm.handles import Handles
from ptkc.spec.constants import CKA, CKF, CKK, CKM, CKO, CKR, CKU
from ptkc.spec.errors import CryptokiError
from ptkc.spec.values import ulong
from ptkc.token.hsms import Hsm
from ptkc.token.opened import OpenedHsm

__all__ = ["board", "two"]  # fixtures

P256 = bytes.fromhex("06082a8648ce3d030107")


def code(call: Callable[..., object], *arguments: object, **options: object) -> int:
    """Return the CK_RV of a call that is refused."""
    with pytest.raises(CryptokiError) as refused:
        call(*arguments, **options)
    return refused.value.code


def test_an_owner_key_requests_nothing_under_another_name(board: Board) -> None:
    """An ordinary public key object with the owner's point and the label PIK does not make it an identity key."""
    board.become_owner()
    point = board.get(board.one(CKO.PUBLIC_KEY, "POK"), "EC_POINT")
    curve = board.get(board.one(CKO.PUBLIC_KEY, "POK"), "EC_PARAMS")
    said = template(CLASS=CKO.PUBLIC_KEY, KEY_TYPE=CKK.EC, EC_PARAMS=curve, EC_POINT=point, LABEL="PIK")
    base = board.device.create_object(board.session, said)
    owner = board.one(CKO.PRIVATE_KEY, "POK")
    assert CKR.KEY_FUNCTION_NOT_PERMITTED == code(board.encode, CKM.ENCODE_PKCS_10, base, owner)


def test_identity_keys_sign_for_identities_in_read_write_sessions_only(board: Board) -> None:
    """Requests and identity certificates are the Administrator's in a read/write session: CKR_SESSION_READ_ONLY."""
    board.become_owner()
    public, private = board.one(CKO.PUBLIC_KEY, "PIK"), board.one(CKO.PRIVATE_KEY, "PIK")
    request = board.encode(CKM.ENCODE_PKCS_10, public, private)
    reader = board.device.open_session(board.slot, CKF.SERIAL_SESSION)
    assert CKR.SESSION_READ_ONLY == code(board.encode, CKM.ENCODE_PKCS_10, public, private, session=reader)
    owner = board.one(CKO.PRIVATE_KEY, "POK")
    assert CKR.SESSION_READ_ONLY == code(board.encode, CKM.ENCODE_X_509, request, owner, session=reader)


@pytest.mark.parametrize(
    "key", [sequence(), sequence(sequence()), sequence(sequence(), sequence(), sequence())],
    ids=["empty", "one part", "three parts"],
)  # fmt: skip
def test_a_peer_with_a_key_that_is_none_is_refused(board: Board, key: bytes) -> None:
    """CKR_ATTRIBUTE_VALUE_INVALID, as for anything else that is no certificate."""
    board.generate_identity(self_sign=True)
    good = asn1x509.Certificate.load(self_signed(serial="1234"))
    body = good["tbs_certificate"]
    parts = [key if name == "subject_public_key_info" else body[name].dump() for name in body]
    bad = sequence(sequence(*parts), good["signature_algorithm"].dump(), good["signature_value"].dump())
    assert CKR.ATTRIBUTE_VALUE_INVALID == code(board.store, bad, LOCAL_IDENTITY_CERT=False)


def test_more_extensions_than_are_read_are_not_written(board: Board) -> None:
    """CKR_ATTRIBUTE_VALUE_INVALID, before a use of the key is counted; also where they come in several lists."""
    key = template(EC_PARAMS=P256), template(TOKEN=False, USAGE_LIMIT=ulong(1))
    public, private = board.device.generate_key_pair(board.session, (CKM.EC_KEY_PAIR_GEN, None), *key)
    entries = [extension(f"1.2.3.{number}", bytes(55)) for number in range(1, 981)]
    for refused in (sequence(*entries[:490]) + sequence(*entries[490:]), sequence(*entries, *entries)):
        said = {"SUBJECT_STR": "CN=x", "PKI_ATTRIBUTE_BER_ENCODED": refused}
        assert CKR.ATTRIBUTE_VALUE_INVALID == code(board.encode, CKM.ENCODE_X_509, public, private, **said)
    said["PKI_ATTRIBUTE_BER_ENCODED"] = sequence(*entries[:490])
    board.encode(CKM.ENCODE_X_509, public, private, **said)


@pytest.mark.parametrize("ended", [False, True])
def test_trust_that_ended_since_the_init_call_verifies_nothing(two: list[Board], ended: bool) -> None:  # noqa: FBT001
    """C_Verify asks again: CKR_CERT_NOT_VALIDATED after the peer was removed."""
    one, other = two
    for each in two:
        each.generate_identity(self_sign=True)
    key = template(EC_PARAMS=P256), template(TOKEN=False)
    public, _ = other.device.generate_key_pair(other.session, (CKM.EC_KEY_PAIR_GEN, None), *key)
    identity = other.one(CKO.PRIVATE_KEY, "PIK")
    statement = other.get(other.encode(CKM.ENCODE_X_509_LOCAL_CERT, public, identity, SUBJECT_STR="CN=x"), "VALUE")
    peer = one.trust(other)
    one.device.verify_init(one.session, (CKM.VERIFY_CERTIFICATE, None), peer)
    if ended:
        one.device.destroy_object(one.session, peer)
        assert CKR.CERT_NOT_VALIDATED == code(one.device.verify, one.session, statement, b"")
    else:
        one.device.verify(one.session, statement, b"")


@pytest.mark.parametrize("year", [1, 1969, 10000, 1_000_000])
def test_the_clock_stands_where_certificates_can_name_its_time(board: Board, year: int) -> None:
    """CKR_ARGUMENTS_BAD; as CKA_VALUE of the clock, CKR_ATTRIBUTE_VALUE_INVALID."""
    seconds = (year - 1970) * 31_556_952 + 1000
    assert CKR.ARGUMENTS_BAD == code(board.hsm.set_clock, seconds)
    for number in (float("nan"), float("inf")):
        assert CKR.ARGUMENTS_BAD == code(board.hsm.set_clock, number)
    (clock,) = [found for found in board.find(CLASS=CKO.HW_FEATURE) if len(board.get(found, "VALUE")) == 16]
    said = f"{year:04}010100000000".encode()
    assert CKR.ATTRIBUTE_VALUE_INVALID == code(
        board.device.set_attribute_value, board.session, clock, ((CKA.VALUE, said),)
    )


@pytest.mark.parametrize(
    "moment", [dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)]
)
def test_identities_are_made_at_both_ends_of_time(board: Board, moment: dt.datetime) -> None:
    """Owner, identity and request are made, and C_GetTokenInfo has 16 digits."""
    board.hsm.set_clock(moment.timestamp())
    board.generate_owner()
    board.generate_identity(self_sign=True)
    assert 16 == len(board.device.get_token_info(board.slot)[-1])


def test_two_administrators_cannot_pass_mode_locked_together(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that was decided before the mode was locked is refused: look and change are one transaction."""
    other = Hsm.open(*paths_of(board.hsm))
    device = LocalDevice(other, Application(other, Handles()))
    session = device.open_session(board.slot, READ_WRITE)
    device.login(session, CKU.USER, ADMIN_PIN)

    def adapter(device: LocalDevice, session: int) -> int:
        device.find_objects_init(session, template(CLASS=CKO.ADAPTER))
        (found,) = device.find_objects(session, 2)
        device.find_objects_final(session)
        return found

    target, mine = adapter(device, session), adapter(board.device, board.session)
    materialise = OpenedHsm.materialise

    def late(hsm: OpenedHsm) -> object:
        store = materialise(hsm)
        if hsm is other:
            monkeypatch.setattr(OpenedHsm, "materialise", materialise)
            board.device.set_attribute_value(board.session, mine, template(SECURITY_MODE=CKF.MODE_LOCKED))
        return store

    monkeypatch.setattr(OpenedHsm, "materialise", late)
    wanted = template(SECURITY_MODE=CKF.WEAK_PKCS11_MECHANISM)
    assert CKR.ACTION_PROHIBITED == code(device.set_attribute_value, session, target, wanted)
    assert CKF.MODE_LOCKED == board.hsm.security_mode == other.security_mode
    other.close()
