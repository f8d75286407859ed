"""Channels: protection as the policy wants, associated data, roll-over, and the end."""

from __future__ import annotations

import os
import time
from copy import copy

import pytest
from sms_ends import FLAG_SETS, SMALL_N, ChannelPair, N, U, flip, is_sensitive

from ptkc.sms import traffic
from ptkc.sms.bodies import refusal, write_code
from ptkc.sms.errors import AuthenticationError, FrameError, LocalError, RefusedError, TerminatedError
from ptkc.sms.frames import LARGEST, clear, decode, header
from ptkc.sms.protection import BOTH, ENCRYPTED, SIGNED
from ptkc.sms.state import ACCEPT, CLIENT, HELLO, HSM, QUESTION, REPLY, REQUEST, TERMINATE
from ptkc.spec.constants import CKR
from ptkc.spec.errors import PeerError

PIN, PLAIN = b"PIN 1234", b"a digest of something"

# Protection of a request, of a sensitive request, and of a reply: the table of the text.
TABLE = {
    "none": (0, 0, 0),
    "n": (0, ENCRYPTED, 0),
    "u": (SIGNED, SIGNED, 0),
    "nu": (SIGNED, BOTH, 0),
    "N": (ENCRYPTED, ENCRYPTED, ENCRYPTED),
    "U": (SIGNED, SIGNED, SIGNED),
    "NU": (BOTH, BOTH, BOTH),
}


def refused(call, *arguments):
    """Return the exception of a call."""
    with pytest.raises((PeerError, LocalError, TerminatedError, RefusedError)) as raised:
        call(*arguments)
    return raised.value


@pytest.mark.parametrize("name", TABLE)
def test_messages_have_the_protection_that_the_flags_want(name):
    """What is encrypted is not to be read in the frame, what is not is."""
    pair = ChannelPair(FLAG_SETS[name])
    for payload, needs in ((PLAIN, TABLE[name][0]), (PIN, TABLE[name][1])):
        request, reply = pair.exchange(payload, b"the reply", b"slot and token")
        assert (payload, b"slot and token", needs) == request
        assert (b"the reply", b"", TABLE[name][2]) == reply
        assert bool(needs & ENCRYPTED) is (payload not in pair.sent[-2])
        assert bool(TABLE[name][2] & ENCRYPTED) is (b"the reply" not in pair.sent[-1])
        assert b"slot and token" in pair.sent[-2]


@pytest.mark.parametrize("name", [name for name in TABLE if name != "none"])
def test_a_frame_without_the_protection_needed_is_refused(name):
    """CKR_BAD_PROTECTION for each protection that is missing, and it is the end."""
    for index, payload in enumerate((PLAIN, PIN, None)):
        needs = TABLE[name][index]
        for protection in range(BOTH + 1):
            pair = ChannelPair(FLAG_SETS[name])
            if payload is None:
                pair.hsm.open(pair.ask(PLAIN))
                frame, reader = pair.hsm._conversation.send(REPLY, protection, b"reply"), pair.client
            else:
                frame, reader = pair.client._conversation.send(REQUEST, protection, payload), pair.hsm
            if needs & ~protection:
                assert CKR.BAD_PROTECTION == refused(reader.open, frame).code
                assert not reader.is_alive
            else:
                assert (payload or b"reply") == reader.open(frame).payload


@pytest.mark.parametrize("kind", ["request", "reply", "client's end", "HSM's end"])
@pytest.mark.parametrize("name", ["N", "U", "NU"])
def test_every_flipped_bit_of_every_frame_is_noticed(name, kind):
    """With the documented code, by place: nothing of it is delivered, and the channel is dead."""
    pair = ChannelPair(FLAG_SETS[name])
    request = pair.ask(PIN, b"slot")
    if kind != "request":
        pair.hsm.open(request)
    end = HSM if kind in ("request", "client's end") else CLIENT
    if kind == "client's end":
        pair.client.open(pair.reply(b"reply"))
    frame = {
        "request": lambda: request,
        "reply": lambda: pair.reply(b"reply"),
        "client's end": pair.client.terminate,
        "HSM's end": pair.hsm.terminate,
    }[kind]()
    reader = pair.hsm if end == HSM else pair.client
    malformed, changed = (
        (CKR.SMS_ERROR, CKR.BAD_REQ_SIGNATURE) if end == HSM else (CKR.BAD_REPLY, CKR.BAD_REPLY_SIGNATURE)
    )
    for place in range(len(frame)):
        for bit in range(8):
            error = refused(_copy(reader).open, flip(frame, place, 1 << bit))
            if place in (0, 4, 5, 6, 7):
                codes = {malformed}
            elif place in (1, 2):
                codes = {malformed, changed, CKR.SMS_ERROR, CKR.BAD_PROTECTION}
            elif place == 3:
                codes = {malformed, changed}
            else:
                codes = {CKR.SMS_ERROR} if place < 24 else {changed}
            assert error.code in codes, (place, bit)
            assert isinstance(error, PeerError) or place == 1  # kind 8, that an HSM refuses, proves nothing and ends it


def _copy(channel):
    """Return a channel with the same keys, that can be ended for itself."""
    other = copy(channel)
    other._conversation = conversation = copy(channel._conversation)
    conversation._in, conversation._out = copy(conversation._in), copy(conversation._out)
    return other


@pytest.mark.parametrize("name", ["u", "nu"])
def test_every_flipped_bit_of_a_signed_request_is_noticed_without_signed_replies(name):
    """Under Auth Protection each request is signed, whatever of it is encrypted."""
    pair = ChannelPair(FLAG_SETS[name])
    for payload in (PLAIN, PIN):
        frame = pair.ask(payload, b"slot")
        for place in range(len(frame)):
            assert isinstance(refused(_copy(pair.hsm).open, flip(frame, place)), PeerError)
        pair.hsm.open(frame)
        pair.client.open(pair.reply(b"reply"))


def test_a_sensitive_request_cannot_be_made_of_another_one():
    """Under No Clear PINs a request in clear can be changed, but never to one that should have been encrypted."""
    pair = ChannelPair(SMALL_N)
    frame = pair.ask(b"abc 1234")
    assert CKR.BAD_PROTECTION == refused(pair.hsm.open, frame.replace(b"abc", b"PIN")).code


def test_an_encrypted_request_cannot_be_passed_for_one_in_clear():
    """A flipped bit in the header leaves the ciphertext, which is no request, and so counts as a sensitive one."""
    pair = ChannelPair(SMALL_N)
    frame = pair.ask(PIN)
    assert CKR.BAD_PROTECTION == refused(pair.hsm.open, flip(frame, 2)).code


def test_a_sensitive_request_that_was_replaced_is_missed_at_the_next_one():
    """Under No Clear PINs anybody can write requests in clear, but not in place of encrypted ones without notice."""
    pair = ChannelPair(SMALL_N)
    pair.ask(PIN)
    forged = header(REQUEST, 0, b"", len(PLAIN), 9, 0) + PLAIN
    assert PLAIN == pair.hsm.open(forged).payload
    pair.client.open(pair.reply(b"reply"))
    assert CKR.BAD_REQ_SIGNATURE == refused(pair.hsm.open, pair.ask(PIN)).code


def test_associated_data_is_bound_to_its_message():
    """Another slot or token is another message."""
    pair = ChannelPair(N)
    frame = pair.ask(PIN, b"slot 1")
    assert CKR.BAD_REQ_SIGNATURE == refused(pair.hsm.open, frame.replace(b"slot 1", b"slot 2")).code


def test_keys_roll_over_on_both_ends_at_the_same_message(monkeypatch):
    """Nothing is said on the wire; the old keys are of no use then."""
    monkeypatch.setattr(traffic, "ROLL_OVER", 4)
    pair = ChannelPair()
    early = _copy(pair.hsm)
    for number in range(11):
        request, reply = pair.exchange(b"%d" % number, b"reply")
        assert b"%d" % number == request.payload
        assert b"reply" == reply.payload
    assert (11, 11, 4) == pair.client.counts == pair.hsm.counts
    early._conversation._in.counter = early._conversation._in.encrypted = 11  # as if it had never rolled
    assert CKR.BAD_REQ_SIGNATURE == refused(early.open, pair.ask(b"11")).code


class _Ending:
    """A direction whose channel ends while it is being looked at."""

    def __init__(self, direction, end):
        self._direction, self._end = direction, end

    @property
    def counter(self):
        end, self._end = self._end, None
        if end is not None:
            end()
        return self._direction.counter

    def __getattr__(self, name):
        return getattr(self._direction, name)


def test_channel_that_ends_while_it_is_listed_still_has_its_counts():
    """Another thread lists channels than the one that uses them."""
    pair = ChannelPair()
    pair.exchange(b"request", b"reply")
    conversation = pair.hsm._conversation
    conversation._out = _Ending(conversation._out, pair.hsm.terminate)
    assert pair.hsm.counts == conversation._counts
    assert not pair.hsm.is_alive


def test_keys_roll_over_after_65536_messages():
    """The interval of the protocol."""
    assert 65536 == traffic.ROLL_OVER
    pair = ChannelPair()
    pair.skip(65535)
    pair.exchange(b"last under the first keys", b"reply")
    assert 2 == pair.client.counts[2] == pair.hsm.counts[2]
    assert b"next" == pair.exchange(b"next", b"reply")[0].payload


def test_a_channel_that_is_used_up_ends_with_key_rollover():
    """The client is told before it sends, and the HSM hears of it."""
    pair = ChannelPair()
    pair.skip(traffic.LAST - 1)
    pair.exchange(b"the last one", b"reply")
    assert CKR.KEY_ROLLOVER == refused(pair.client.seal, PLAIN).code
    assert CKR.KEY_ROLLOVER == refused(pair.hsm.open, pair.client.farewell).code
    assert CKR.NO_SESSION_KEYS == refused(pair.client.seal, PLAIN).code


def test_a_peer_that_goes_on_after_the_last_message_is_refused(monkeypatch):
    """The limit holds for both ends."""
    pair = ChannelPair()
    pair.skip(8)
    frame = pair.ask(PLAIN)
    monkeypatch.setattr("ptkc.sms.conversation.LAST", 8)
    error = refused(pair.hsm.open, frame)
    assert CKR.KEY_ROLLOVER == error.code
    assert isinstance(error, FrameError)


@pytest.mark.parametrize("code", [0, CKR.BAD_PROTECTION])
def test_either_side_ends_a_channel(code):
    """The other one learns the reason; without one it is CKR_NO_SESSION_KEYS. Then nothing goes on."""
    for ends in (("client", "hsm"), ("hsm", "client")):
        pair = ChannelPair(0)
        ended, other = (getattr(pair, end) for end in ends)
        if ends[0] == "hsm":
            pair.hsm.open(pair.ask(PLAIN))
        frame = ended.terminate(code)
        error = refused(other.open, frame)
        assert isinstance(error, TerminatedError)
        assert (code or CKR.NO_SESSION_KEYS) == error.code
        assert b"" == other.farewell
        for channel in (ended, other):
            assert not channel.is_alive
            for call in (channel.seal, channel.open, lambda _, channel=channel: channel.terminate()):
                assert CKR.NO_SESSION_KEYS == refused(call, PLAIN).code
        assert b"1234" not in frame


def test_one_failure_kills_the_channel_and_the_peer_is_told():
    """The end that fails has a farewell, which is encrypted and signed whatever the flags are."""
    pair = ChannelPair(U)
    frame = pair.ask(PLAIN)
    error = refused(pair.hsm.open, flip(frame, -1))
    assert error is pair.hsm.cause
    assert CKR.NO_SESSION_KEYS == refused(pair.hsm.open, frame).code
    assert (TERMINATE, BOTH) == decode(pair.hsm.farewell)[:2]
    told = refused(pair.client.open, pair.hsm.farewell)
    assert isinstance(told, TerminatedError)
    assert CKR.BAD_REQ_SIGNATURE == told.code == pair.client.cause.code


def test_a_refusal_that_proves_nothing_never_chooses_the_code():
    """An HSM that has lost the keys can say no more; nor can anybody else on the wire."""
    pair = ChannelPair()
    pair.ask(PLAIN)
    error = refused(pair.client.open, refusal(CKR.OK))
    assert isinstance(error, RefusedError)
    assert (CKR.NO_SESSION_KEYS, 0) == (error.code, error.said)
    assert b"" == pair.client.farewell
    for wrong in (clear(8, write_code(1) + b"\0"), clear(8, b"")):
        pair = ChannelPair()
        pair.ask(PLAIN)
        assert CKR.BAD_REPLY == refused(pair.client.open, wrong).code


def test_a_frame_out_of_turn_is_refused():
    """One request, then its reply: on our side without harm, on the peer's it is the end."""
    pair = ChannelPair(0)
    assert CKR.SMS_ERROR == refused(pair.hsm.seal, b"reply").code
    pair.ask(PLAIN)
    assert CKR.SMS_ERROR == refused(pair.client.seal, PLAIN).code
    assert pair.client.is_alive
    for kind, protection in ((REQUEST, 0), (HELLO, 0), (QUESTION, 0), (ACCEPT, BOTH), (8, 0)):
        hsm = _copy(pair.hsm)
        hsm.open(pair.sent[0])
        frame = _copy(pair.hsm)._conversation._in.seal(kind, protection, bytes(8), b"")
        assert refused(hsm.open, frame).code in {CKR.SMS_ERROR, CKR.NO_SESSION_KEYS}
        assert not hsm.is_alive


def test_a_message_that_is_too_long_is_not_sent():
    """CKR_DEVICE_MEMORY; the channel lives on."""

    class Long(bytes):
        def __len__(self):
            return LARGEST + 1

    pair = ChannelPair()
    assert CKR.DEVICE_MEMORY == refused(pair.client.seal, Long()).code
    assert CKR.DEVICE_MEMORY == refused(pair.client.seal, b"", bytes(256)).code
    assert b"" == pair.exchange(b"", b"", bytes(255))[0].payload


def test_a_forked_process_has_no_channel():
    """It would use the nonces of its parent a second time; the parent goes on."""
    pair = ChannelPair()
    child = os.fork()
    if not child:
        done = 1
        try:
            codes = {refused(call, PLAIN).code for call in (pair.client.seal, pair.hsm.open)}
            done = codes != {CKR.NO_SESSION_KEYS}
        finally:
            os._exit(done)
    assert 0 == os.waitpid(child, 0)[1]
    assert PLAIN == pair.exchange(PLAIN, b"")[0].payload


def test_a_signature_is_verified_before_anything_is_decrypted():
    """A frame with a wrong MAC and a right tag is as bad as the other way round."""
    pair = ChannelPair()
    frame = pair.ask(PIN)
    for place in (-1, -65):
        error = refused(_copy(pair.hsm).open, flip(frame, place))
        assert isinstance(error, AuthenticationError)
        assert CKR.BAD_REQ_SIGNATURE == error.code


def test_a_small_message_costs_little():
    """At most 25 µs of processor time for sealing and opening with both protections (three times that is the alarm)."""
    pair, rounds = ChannelPair(), 2000
    payload, associated = bytes(100), bytes(24)
    begun = time.process_time()
    for _ in range(rounds):
        pair.hsm.open(pair.client.seal(payload, associated))
        pair.client.open(pair.hsm.seal(payload, associated))
    assert (time.process_time() - begun) / (2 * rounds) < 25e-6 * 3


def test_what_is_sensitive_is_asked_only_where_it_matters():
    """Under full encryption nobody looks into the message."""
    for flags, times in ((N, 0), (SMALL_N, 2), (U, 0)):
        pair, asked = ChannelPair(flags), []
        for channel in (pair.client, pair.hsm):
            channel._is_sensitive = lambda payload, asked=asked: asked.append(1) or is_sensitive(payload)
        pair.exchange(PLAIN, b"reply")
        assert times == len(asked)
