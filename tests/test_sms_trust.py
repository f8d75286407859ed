"""Whom a client believes, and the signed statement: certificates good and bad, and what is taken unsigned."""

from __future__ import annotations

import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from sms_ends import (
    DAY,
    NOW,
    OTHER_SERIAL,
    OWNER,
    PIK,
    POK,
    SELF_SIGNED,
    SERIAL,
    UNDER_OWNER,
    N,
    certificate,
    flip,
    identity,
    is_sensitive,
    key,
    verifier,
)

from ptkc.sms import frames
from ptkc.sms.bodies import refusal
from ptkc.sms.errors import AuthenticationError, FrameError, LocalError, RefusedError
from ptkc.sms.handshake import Handshake, Identity, read_greeting
from ptkc.sms.state import STATEMENT
from ptkc.sms.statement import Question, read_inquiry
from ptkc.spec.constants import CKR
from ptkc.spec.errors import PeerError

OTHER_OWNER = certificate([], key("another POK"), ca=True, name="owner")
BY_OTHER_OWNER = certificate([SERIAL], PIK, key("another POK"), issuer_name="owner")
FALSE_OWNER = certificate([], POK, key("another POK"), ca=True, name="owner")
LATER = certificate([SERIAL], PIK, POK, issuer_name="owner", days=(-1, 999))
P384 = ec.derive_private_key(4711, ec.SECP384R1())


def not_validated(believer, chain, serial=SERIAL):
    """Return the reason of a refusal with CKR_CERT_NOT_VALIDATED."""
    with pytest.raises(AuthenticationError) as refused:
        believer.key_of(serial, chain)
    assert CKR.CERT_NOT_VALIDATED == refused.value.code
    return refused.value.message


@pytest.mark.parametrize(
    ("believer", "chain"),
    [
        (verifier({SERIAL: SELF_SIGNED}), (SELF_SIGNED,)),
        (verifier({SERIAL: UNDER_OWNER}), (UNDER_OWNER, OWNER)),
        (verifier(owner=OWNER), (UNDER_OWNER, OWNER)),
        (verifier(owner=OWNER), (UNDER_OWNER,)),
        (verifier({OTHER_SERIAL: SELF_SIGNED}, OWNER), (UNDER_OWNER, OWNER)),
        (verifier({SERIAL: SELF_SIGNED}, OTHER_OWNER), (SELF_SIGNED,)),
        (verifier({SERIAL: SELF_SIGNED}, now=NOW + 364 * DAY), (SELF_SIGNED,)),
        (verifier({SERIAL: certificate([SERIAL], PIK, usage=None)}), (certificate([SERIAL], PIK, usage=None),)),
    ],
)
def test_an_hsm_is_believed(believer, chain):
    """By the PIC that is held of it, or else by the owner's certificate."""
    signature = identity().sign(b"message")
    found = believer.key_of(SERIAL, chain)
    found.check(signature, b"message", CKR.SMS_ERROR)
    with pytest.raises(AuthenticationError) as refused:
        found.check(signature, b"another", CKR.SMS_ERROR)
    assert CKR.SMS_ERROR == refused.value.code


@pytest.mark.parametrize(
    ("believer", "chain", "reason"),
    [
        (verifier({SERIAL: SELF_SIGNED}), (), "no certificate"),
        (verifier({OTHER_SERIAL: SELF_SIGNED}), (SELF_SIGNED,), "is held"),
        (verifier({SERIAL: SELF_SIGNED}), (UNDER_OWNER, OWNER), "another certificate"),
        (verifier({SERIAL: SELF_SIGNED}, OWNER), (UNDER_OWNER, OWNER), "another certificate"),
        (verifier(owner=OWNER), (SELF_SIGNED,), "not signed by the owner"),
        (verifier(owner=OWNER), (BY_OTHER_OWNER, OTHER_OWNER), "not signed by the owner"),
        (verifier(owner=OWNER), (OWNER,), "a CA's"),
        (verifier(owner=certificate([], POK, name="owner")), (UNDER_OWNER,), "no CA's"),
        (verifier(owner=FALSE_OWNER), (UNDER_OWNER,), "self-signed"),
        (verifier({SERIAL: SELF_SIGNED}, now=NOW + 366 * DAY), (SELF_SIGNED,), "the clock says 2027-01-02"),
        (verifier({SERIAL: SELF_SIGNED}, now=NOW - 2 * DAY), (SELF_SIGNED,), "valid from 2025-12-31"),
        (verifier(owner=OWNER, now=NOW + 366 * DAY), (LATER,), "the owner's certificate is valid"),
    ],
)  # fmt: skip
def test_an_hsm_is_not_believed(believer, chain, reason):
    """No PIC, an unknown or a changed one, a wrong chain, one that is too old or too new."""
    assert reason in not_validated(believer, chain)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (certificate([OTHER_SERIAL], PIK), "names"),
        (certificate([SERIAL, OTHER_SERIAL], PIK), "names"),
        (certificate([], PIK), "names no HSM"),
        (certificate([SERIAL], PIK, ca=True), "a CA's"),
        (certificate([SERIAL], PIK, usage="key_cert_sign"), "key usage"),
        (certificate([SERIAL], P384), "P-521"),
        (certificate([SERIAL], PIK, digest=SHA256()), "ecdsa-with-SHA512"),
        (certificate([SERIAL], PIK, extension=x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0")),
         "critical extension"),
        (certificate([SERIAL], PIK, extension=x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.2.3.4")])),
         "critical extension"),
        (b"", "no certificate"),
        (SELF_SIGNED[:-1], "no certificate"),
        (SELF_SIGNED + b"\0", "no certificate"),
    ],
)  # fmt: skip
def test_what_is_no_identity_certificate_is_refused_even_if_it_is_held(made, reason):
    """Other serials, several or none; a CA's; other keys and signatures; what is critical and not understood."""
    assert reason in not_validated(verifier({SERIAL: made}), (made,))


@given(st.integers(0, len(UNDER_OWNER) - 1), st.integers(1, 255))
def test_a_changed_certificate_is_refused_without_a_word(place, change):
    """No exception but ours, and no warning, which would go to the standard error of the host."""
    wrong = flip(UNDER_OWNER, place, change)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        not_validated(verifier(owner=OWNER), (wrong,))
        not_validated(verifier(owner=wrong), (UNDER_OWNER,))


@given(st.binary(max_size=300))
def test_any_bytes_are_no_certificate(data):
    """Also behind the beginning of one."""
    for start in (b"", b"\x30\x82\x01\x00\x30\x81\xf0\xa0\x03\x02\x01\x02\x02"):
        not_validated(verifier(owner=OWNER), (start + data,))


@pytest.mark.parametrize("number", [b"\x02\x01\x00", b"\x02\x01\xff", b"\x02\x00", b"\x02\x15" + b"\x01" * 21])
def test_a_certificate_without_a_positive_number_is_refused_before_it_is_read(number):
    """`cryptography` would warn of it."""
    start = UNDER_OWNER.index(b"\xa0\x03\x02\x01\x02") + 5
    wrong = UNDER_OWNER[:start] + number + UNDER_OWNER[start + 2 + UNDER_OWNER[start + 1] :]
    assert "positive" in not_validated(verifier(owner=OWNER), (wrong,))


# The statement


@pytest.mark.parametrize("serial", [SERIAL, ""])
def test_a_statement_is_proven(serial):
    """Asked by serial, or whichever HSM it is."""
    question = Question(serial)
    stated = question.answered(read_inquiry(question.frame).answer(identity(N)), verifier())
    assert (SERIAL, N, 3, (SELF_SIGNED,), True) == stated


def test_every_flipped_bit_of_question_and_statement_is_noticed():
    """The signature is over both."""
    question = Question(SERIAL)
    right = read_inquiry(question.frame).answer(identity(N))
    for frame in (question.frame, right):
        for place in range(8 * len(frame)):
            wrong = flip(frame, place // 8, 1 << place % 8)
            with pytest.raises((PeerError, LocalError)) as refused:
                question.answered(
                    wrong if frame is right else read_inquiry(wrong).answer(identity(N)), verifier()
                )
            assert refused.value.code in {
                CKR.SMS_ERROR, CKR.BAD_REPLY, CKR.CERT_NOT_VALIDATED, CKR.BAD_PROTECTION,
            }  # fmt: skip


@pytest.mark.parametrize("believer", [verifier(), verifier(owner=OWNER)])
def test_an_unsigned_statement_is_not_taken_by_who_holds_a_certificate(believer):
    """A man in the middle who says "no flags" is not believed: CKR_SMS_ERROR."""
    for chain, sign in (((), None), ((SELF_SIGNED,), None), ((), identity().sign)):
        question = Question(SERIAL)
        nobody = Identity(identity(0).statement._replace(chain=chain), sign)
        with pytest.raises(AuthenticationError) as refused:
            question.answered(read_inquiry(question.frame).answer(nobody), believer)
        assert CKR.SMS_ERROR == refused.value.code


def test_an_older_statement_is_not_taken():
    """One of the time when there were no flags, recorded: CKR_SMS_ERROR."""
    earlier = Question(SERIAL)
    recorded = read_inquiry(earlier.frame).answer(identity(0))
    with pytest.raises(AuthenticationError) as refused:
        Question(SERIAL).answered(recorded, verifier())
    assert CKR.SMS_ERROR == refused.value.code


def test_who_holds_nothing_takes_a_statement_unproven():
    """And is told so; signed or not makes no difference then."""
    for who in (identity(N), Identity(identity(N, chain=()).statement, None)):
        question = Question()
        stated = question.answered(read_inquiry(question.frame).answer(who), verifier({}))
        assert (N, False) == (stated.flags, stated.proven)


def test_another_hsm_does_not_answer_and_is_not_believed():
    """Neither of the two needs the other to be honest."""
    question = Question(SERIAL)
    inquiry = read_inquiry(question.frame)
    with pytest.raises(LocalError) as refused:
        inquiry.answer(identity(serial=OTHER_SERIAL))
    assert CKR.SMS_ERROR == refused.value.code
    inquiry.serial = ""
    with pytest.raises(AuthenticationError) as refused:
        question.answered(inquiry.answer(identity(serial=OTHER_SERIAL)), verifier({}))
    assert CKR.CERT_NOT_VALIDATED == refused.value.code
    question = Question()
    other = certificate([OTHER_SERIAL], PIK)
    with pytest.raises(AuthenticationError) as refused:  # the certificate of one HSM, the serial of the other
        question.answered(
            read_inquiry(question.frame).answer(identity(serial=OTHER_SERIAL)), verifier({OTHER_SERIAL: other})
        )
    assert CKR.CERT_NOT_VALIDATED == refused.value.code


def test_a_signature_of_a_statement_is_none_of_a_handshake():
    """What is signed says for what it is."""
    client = Handshake(SERIAL, 0, is_sensitive)
    offer = read_greeting(client.frame).answer(identity(), 9, is_sensitive)
    body = bytes(frames.decode(offer.frame).body)
    with pytest.raises(FrameError):
        Question(SERIAL).answered(frames.clear(STATEMENT, body), verifier())


def test_a_question_may_be_refused_and_proves_nothing():
    """CKR_SMS_ERROR, whatever was said."""
    with pytest.raises(RefusedError) as refused:
        Question(SERIAL).answered(refusal(CKR.DEVICE_RESET), verifier())
    assert (CKR.SMS_ERROR, CKR.DEVICE_RESET) == (refused.value.code, refused.value.said)


def test_a_greeting_is_no_question_and_a_question_no_greeting():
    """Each begins its own conversation."""
    with pytest.raises(LocalError):
        read_greeting(Question(SERIAL).frame)
    with pytest.raises(LocalError):
        read_inquiry(Handshake(SERIAL, 0, is_sensitive).frame)
    for read in (read_greeting, read_inquiry):
        with pytest.raises(FrameError):
            read(read_inquiry(Question(SERIAL).frame).answer(identity()))
