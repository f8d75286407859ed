"""The handshake: what both ends agree on, and that nothing of it can be changed, repeated or left out."""

from __future__ import annotations

import time
from copy import copy

import pytest
from sms_ends import (
    FLAG_SETS,
    OTHER_SERIAL,
    PIK,
    SELF_SIGNED,
    SERIAL,
    N,
    U,
    fixed,
    flip,
    identity,
    is_sensitive,
    key,
    shake_hands,
    sign,
    stream,
    verifier,
)

from ptkc.sms import frames
from ptkc.sms.bodies import JOINED, NEW, UNKNOWN, refusal
from ptkc.sms.errors import AuthenticationError, FrameError, LocalError, RefusedError
from ptkc.sms.handshake import Handshake, Identity, read_greeting
from ptkc.sms.keys import identifier_of
from ptkc.sms.protection import EVERYTHING, REPLIES_SIGNED, REQUESTS_SIGNED, policy_of_flags
from ptkc.sms.state import ANSWER
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError, PeerError

CODES = {
    CKR.BAD_REPLY, CKR.SMS_ERROR, CKR.CERT_NOT_VALIDATED, CKR.CANNOT_DERIVE_KEYS, CKR.BAD_PROTECTION,
    CKR.BAD_REQ_SIGNATURE, CKR.BAD_REPLY_SIGNATURE,
}  # fmt: skip
SECRET = stream("an application", 32)
KNOWN = {identifier_of(SECRET): SECRET}


def begin(policy=0, secret=None, hsm=None):
    """Return a client's handshake and the HSM's offer to it."""
    client = Handshake(SERIAL, policy, is_sensitive, secret)
    return client, read_greeting(client.frame).answer(hsm or identity(), 9, is_sensitive)


def flips(frame):
    """Yield a frame with each of its bits flipped."""
    for place in range(8 * len(frame)):
        yield flip(frame, place // 8, 1 << place % 8)


@pytest.mark.parametrize("name", FLAG_SETS)
def test_both_ends_have_the_same_channel(name):
    """Number, HSM, policy and application's secret are the same; the policy is all that both want."""
    client, hsm = shake_hands(FLAG_SETS[name], REPLIES_SIGNED)
    assert REPLIES_SIGNED | policy_of_flags(FLAG_SETS[name]) == client.policy == hsm.policy
    assert (SERIAL, FLAG_SETS[name], 3, (SELF_SIGNED,), True) == client.statement == hsm.statement
    assert 9 == client.number == hsm.number
    assert client.secret == hsm.secret
    assert NEW == client.outcome == hsm.outcome
    assert b"request" == hsm.open(client.seal(b"request")).payload
    assert b"reply" == client.open(hsm.seal(b"reply")).payload


def test_every_channel_has_its_own_keys_and_secret():
    """Two channels of one HSM have nothing in common."""
    first, second = shake_hands(), shake_hands()
    assert first[0].secret != second[0].secret
    frame = first[0].seal(b"request")
    with pytest.raises(AuthenticationError) as refused:
        second[1].open(frame)
    assert CKR.BAD_REQ_SIGNATURE == refused.value.code


def test_an_application_joins_with_its_secret():
    """Both ends then have the application's secret, and the HSM said so."""
    client, hsm = shake_hands(secret=SECRET, secrets=KNOWN)
    assert JOINED == client.outcome == hsm.outcome
    assert SECRET == client.secret == hsm.secret
    assert identifier_of(SECRET) == client.application


def test_an_application_that_the_hsm_does_not_know_is_a_new_one():
    """An HSM that was restarted has lost it: the client is told so under the new keys."""
    client, hsm = shake_hands(secret=SECRET)
    assert UNKNOWN == client.outcome == hsm.outcome
    assert SECRET != client.secret
    assert client.secret == hsm.secret


def test_an_application_without_the_secret_is_refused():
    """Who knows an identifier only gets nothing; the handshake is over."""
    other = stream("another application", 32)
    client, offer = begin(secret=other)
    confirmation = client.answered(offer.frame, verifier())
    with pytest.raises(AuthenticationError) as refused:
        offer.confirmed(confirmation.frame, lambda _: SECRET)
    assert CKR.CANNOT_DERIVE_KEYS == refused.value.code


def test_a_proof_of_one_handshake_is_none_in_another():
    """The proof is over the whole transcript."""
    client, offer = begin(secret=SECRET)
    confirmation = client.answered(offer.frame, verifier())
    _, again = begin(secret=SECRET)
    with pytest.raises(PeerError):
        again.confirmed(confirmation.frame, KNOWN.get)


def test_every_flipped_bit_of_a_hello_is_noticed():
    """By the HSM, or by the client, since the HSM signs what it has read."""
    client = Handshake(SERIAL, REQUESTS_SIGNED, is_sensitive)
    for wrong in flips(client.frame):
        with pytest.raises(CryptokiError) as refused:
            copy(client).answered(read_greeting(wrong).answer(identity(), 9, is_sensitive).frame, verifier())
        assert refused.value.code in CODES


def test_every_flipped_bit_of_an_answer_is_noticed():
    """Whatever it says is signed."""
    client, offer = begin()
    for wrong in flips(offer.frame):
        with pytest.raises(PeerError) as refused:
            copy(client).answered(wrong, verifier())
        assert refused.value.code in CODES


def test_every_flipped_bit_of_a_confirmation_is_noticed():
    """It is encrypted and signed; the HSM makes no channel of it."""
    with fixed("flips"):
        client, offer = begin(secret=SECRET)
    frame = client.answered(offer.frame, verifier()).frame
    for wrong in flips(frame):
        with fixed("flips"):
            _, offer = begin(secret=SECRET)
        with pytest.raises(PeerError) as refused:
            offer.confirmed(wrong, KNOWN.get)
        assert refused.value.code in CODES


def test_every_flipped_bit_of_an_acceptance_is_noticed():
    """The client makes no channel of it."""
    with fixed("flips"):
        client, offer = begin()
    accept = offer.confirmed(copy(client).answered(offer.frame, verifier()).frame, KNOWN.get).frame
    for wrong in flips(accept):
        with pytest.raises(PeerError) as refused:
            copy(client).answered(offer.frame, verifier()).accepted(wrong)
        assert refused.value.code in CODES


def test_an_answer_to_another_hello_is_refused():
    """A recorded ANSWER, or one to a HELLO that somebody else changed, is not of this conversation."""
    client, _ = begin()
    _, other = begin()
    with pytest.raises(AuthenticationError) as refused:
        client.answered(other.frame, verifier())
    assert CKR.CANNOT_DERIVE_KEYS == refused.value.code


def test_the_demand_of_the_client_cannot_be_taken_away():
    """A man in the middle who asks for less than the client is found out by the HSM's signature."""
    client = Handshake(SERIAL, REQUESTS_SIGNED | REPLIES_SIGNED, is_sensitive)
    weaker = bytearray(client.frame)
    weaker[24 + 32 + 133] = 0
    offer = read_greeting(bytes(weaker)).answer(identity(0), 9, is_sensitive)
    with pytest.raises(AuthenticationError) as refused:
        client.answered(offer.frame, verifier())
    assert CKR.CANNOT_DERIVE_KEYS == refused.value.code


def test_a_demand_that_nobody_knows_is_refused():
    """A later client that wants more than this HSM can give does not get less."""
    hello = bytearray(Handshake(SERIAL, 0, is_sensitive).frame)
    hello[24 + 32 + 133] = EVERYTHING + 1
    with pytest.raises(FrameError) as refused:
        read_greeting(bytes(hello))
    assert CKR.SMS_ERROR == refused.value.code


def test_another_hsm_under_the_same_owner_is_refused():
    """Its certificate is good, but of another serial."""
    client = Handshake(SERIAL, 0, is_sensitive)
    greeting = read_greeting(client.frame)
    with pytest.raises(LocalError) as refused:
        greeting.answer(identity(serial=OTHER_SERIAL), 9, is_sensitive)
    assert CKR.SMS_ERROR == refused.value.code
    greeting.serial = OTHER_SERIAL  # an HSM that does not mind
    with pytest.raises(AuthenticationError) as refused:
        client.answered(greeting.answer(identity(serial=OTHER_SERIAL), 9, is_sensitive).frame, verifier())
    assert CKR.CERT_NOT_VALIDATED == refused.value.code


def test_an_hsm_without_its_identity_key_is_refused():
    """The certificate alone, which everybody may have, proves nothing."""
    client, offer = begin(hsm=identity(private=key("thief")))
    with pytest.raises(AuthenticationError) as refused:
        client.answered(offer.frame, verifier())
    assert CKR.CANNOT_DERIVE_KEYS == refused.value.code


def test_an_hsm_without_a_certificate_does_not_answer():
    """It says CKR_SMS_ERROR, of which the client knows nothing but that somebody said it."""
    client = Handshake(SERIAL, 0, is_sensitive)
    statement = identity(chain=()).statement
    for nobody in (Identity(statement, lambda message: sign(PIK, message)), Identity(identity().statement, None)):
        with pytest.raises(LocalError) as refused:
            read_greeting(client.frame).answer(nobody, 9, is_sensitive)
        assert CKR.SMS_ERROR == refused.value.code
    with pytest.raises(RefusedError) as said:
        client.answered(refusal(CKR.DEVICE_RESET), verifier())
    assert (CKR.SMS_ERROR, CKR.DEVICE_RESET) == (said.value.code, said.value.said)


@pytest.mark.parametrize("point", [b"\4" + bytes(132), b"\4" + b"\1" * 132, b"\2" + bytes(132), bytes(133)])
def test_an_ephemeral_key_that_is_no_point_is_refused_by_both(point):
    """CKR_CANNOT_DERIVE_KEYS: zero, a point beside the curve, and other encodings."""
    client, offer = begin()
    hello = bytearray(client.frame)
    hello[24 + 32 : 24 + 32 + 133] = point
    with pytest.raises(AuthenticationError) as refused:
        read_greeting(bytes(hello)).answer(identity(), 9, is_sensitive)
    assert CKR.CANNOT_DERIVE_KEYS == refused.value.code
    answer = bytearray(offer.frame)
    answer[24 + 32 : 24 + 32 + 133] = point
    with pytest.raises(AuthenticationError) as refused:
        client.answered(bytes(answer), verifier())
    assert CKR.CANNOT_DERIVE_KEYS == refused.value.code


def test_no_step_is_taken_twice():
    """Two channels of one agreement would use the same nonces with the same keys."""
    client, offer = begin()
    confirmation = client.answered(offer.frame, verifier())
    with pytest.raises(LocalError) as refused:
        client.answered(offer.frame, verifier())
    assert CKR.NO_SESSION_KEYS == refused.value.code
    accept = offer.confirmed(confirmation.frame, KNOWN.get).frame
    with pytest.raises(FrameError):
        offer.confirmed(confirmation.frame, KNOWN.get)
    confirmation.accepted(accept)
    with pytest.raises(PeerError):
        confirmation.accepted(accept)


def test_no_step_can_be_left_out():
    """A frame that is not the next one of the table ends it; so does an answer with channel 0."""
    client, offer = begin()
    confirmation = copy(client).answered(offer.frame, verifier())
    for wrong in (client.frame, confirmation.frame, frames.clear(ANSWER, b"")):
        with pytest.raises(PeerError):
            copy(client).answered(wrong, verifier())
    for wrong in (offer.frame, confirmation.frame):
        with pytest.raises(PeerError):
            read_greeting(wrong)
    with pytest.raises(PeerError):
        begin()[1].confirmed(client.frame, KNOWN.get)
    with pytest.raises(PeerError):
        copy(client).answered(offer.frame, verifier()).accepted(offer.frame)
    other = Handshake(SERIAL, 0, is_sensitive)
    zero = read_greeting(other.frame).answer(identity(), 0, is_sensitive).frame
    with pytest.raises(FrameError):
        other.answered(zero, verifier())


def test_an_outcome_that_does_not_fit_the_claim_is_refused():
    """An HSM cannot say that it knows an application that was not claimed, or pass over one that was."""
    for asked, answered in ((None, SECRET), (SECRET, None)):
        with fixed("outcome"):
            client, offer = begin(secret=asked)
        confirmation = client.answered(offer.frame, verifier())
        with fixed("outcome"):
            other, again = begin(secret=answered)
        accept = again.confirmed(other.answered(again.frame, verifier()).frame, KNOWN.get).frame
        with pytest.raises(AuthenticationError) as refused:
            confirmation.accepted(accept)
        assert CKR.BAD_REPLY == refused.value.code


def test_nothing_secret_is_in_the_frames_or_in_a_repr():
    """Neither secrets nor identifiers of applications cross the wire readably."""
    client, offer = begin(secret=SECRET)
    confirmation = client.answered(offer.frame, verifier())
    accept = offer.confirmed(confirmation.frame, KNOWN.get)
    for frame in (client.frame, offer.frame, confirmation.frame, accept.frame):
        assert SECRET not in frame
        assert identifier_of(SECRET) not in frame
    assert f"<channel 9 of HSM {SERIAL}, open>" == repr(accept.channel)


def test_a_handshake_is_quick():
    """At most 4 ms of processor time for both ends together."""
    rounds = 5
    begun = time.process_time()
    for _ in range(rounds):
        shake_hands(N | U)
    assert (time.process_time() - begun) / rounds < 0.004 * 3  # a machine that has other things to do
