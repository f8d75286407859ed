"""A wire that cuts, flips, drops, doubles, reorders, replays and injects: what arrives is what was sent, in its order.

The claim for `N`, `U` and `NU`: whatever the wire does, each end has opened a beginning of what the other one sealed,
nothing else and nothing twice; the first manipulated frame is refused, and the channel is dead on the end that saw it.
For `u` the same holds for requests, for `n` for sensitive requests.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sms_ends import FLAG_SETS, ChannelPair, flip, shake_hands

from ptkc.sms.frames import clear
from ptkc.sms.state import CLIENT, HSM
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError, PeerError

PAYLOADS = st.binary(max_size=40).map(lambda data: b"PIN " + data)
FULL = ("N", "U", "NU")
ALL_REQUESTS = (*FULL, "u", "n", "nu")  # `n`: since all requests here are sensitive


def flipped(frame, where):
    """Return a frame with one bit flipped; `where` is any number."""
    return flip(frame, where // 8, 1 << where % 8)


def manipulations(frame, earlier, other, where, noise):
    """Return what a wire may deliver in place of a frame; `other` is the other direction's latest one."""
    return {
        "flip": flipped(frame, where),
        "cut": frame[: where % len(frame)],
        "lengthen": frame + noise[:1],
        "replay": earlier[where % len(earlier)] if earlier else b"",
        "reflect": other,
        "inject": noise,
        "forge": clear(1 + where % 12, noise),
        "nothing": b"",
    }


class Wire:
    """Plays a conversation and keeps what was sealed and what was opened, by direction."""

    def __init__(self, flags):
        """Begin a channel with these flags."""
        self.pair = ChannelPair(flags)
        self.frames = {CLIENT: [], HSM: []}
        self.sealed = {CLIENT: [], HSM: []}
        self.opened = {CLIENT: [], HSM: []}

    def seal(self, end, payload):
        """Have an end seal a message."""
        channel = self.pair.client if end == CLIENT else self.pair.hsm
        self.sealed[end].append(payload)
        self.frames[end].append(channel.seal(payload, b"slot"))
        return self.frames[end][-1]

    def deliver(self, end, frame):
        """Deliver a frame that is, or is said to be, of this end."""
        channel = self.pair.hsm if end == CLIENT else self.pair.client
        message = channel.open(frame)
        self.opened[end].append(message.payload)

    def exchange(self, request, reply):
        """Play one exchange as it should be."""
        self.deliver(CLIENT, self.seal(CLIENT, request))
        self.deliver(HSM, self.seal(HSM, reply))


@settings(max_examples=300)
@given(
    st.sampled_from(ALL_REQUESTS), st.lists(st.tuples(PAYLOADS, PAYLOADS), max_size=5), PAYLOADS,
    st.sampled_from([CLIENT, HSM]), st.integers(0, 2**40), st.binary(min_size=1, max_size=120), st.data(),
)  # fmt: skip
def test_the_first_manipulated_frame_is_refused(name, before, payload, end, where, noise, data):
    """Nothing of it is delivered, and nothing after it."""
    if name not in FULL:
        end = CLIENT
    wire = Wire(FLAG_SETS[name])
    for request, reply in before:
        wire.exchange(request, reply)
    if end == HSM:
        wire.deliver(CLIENT, wire.seal(CLIENT, payload))
    earlier = list(wire.frames[end])
    frame = wire.seal(end, payload)
    other = wire.frames[HSM if end == CLIENT else CLIENT]
    wrong = manipulations(frame, earlier, other[-1] if other else b"", where, noise)
    bad = wrong[data.draw(st.sampled_from(sorted(wrong)))]
    opened = list(wire.opened[end])
    with pytest.raises(CryptokiError):
        wire.deliver(end, bad)
    with pytest.raises(CryptokiError) as dead:
        wire.deliver(end, frame)
    assert CKR.NO_SESSION_KEYS == dead.value.code
    assert opened == wire.opened[end]


@settings(max_examples=200)
@given(
    st.sampled_from(FULL),
    st.lists(
        st.tuples(
            st.sampled_from(["pass", "pass", "pass", "drop", "double", "swap", "flip", "replay"]), st.integers(0, 2**40)
        ),
        max_size=30,
    ),
)
def test_what_is_opened_is_a_beginning_of_what_was_sealed(name, script):
    """Over a script of good and bad deliveries, until both ends are dead or it is over."""
    wire = Wire(FLAG_SETS[name])
    for step, (action, where) in enumerate(script):
        for end in (CLIENT, HSM):
            with suppress(CryptokiError):
                frame = wire.seal(end, b"PIN %d %d" % (end, step))
                for sent in _delivered(action, frame, wire.frames[end], where):
                    with suppress(CryptokiError):
                        wire.deliver(end, sent)
        for end in (CLIENT, HSM):
            assert wire.sealed[end][: len(wire.opened[end])] == wire.opened[end]
    if any(action != "pass" for action, _ in script):
        assert not (wire.pair.hsm.is_alive and wire.pair.client.is_alive and _idle(wire))


def _delivered(action, frame, earlier, where):
    """Return the frames that a wire delivers in place of one."""
    return {
        "pass": [frame],
        "drop": [],
        "double": [frame, frame],
        "swap": [earlier[where % len(earlier)], frame],
        "flip": [flipped(frame, where), frame],
        "replay": [frame, earlier[where % len(earlier)]],
    }[action]


def _idle(wire):
    """Whether both ends take the next request, so that nothing was noticed."""
    try:
        wire.exchange(b"PIN next", b"reply")
    except CryptokiError:
        return False
    return True


@pytest.mark.parametrize("name", FULL)
def test_a_random_bit_of_every_frame_of_a_long_conversation(name):
    """200 messages; each frame is flipped at one place, before the channel that it would have ended goes on anew."""
    where = 0x9E3779B9
    for number in range(200):
        wire = Wire(FLAG_SETS[name])
        wire.pair.skip(number)
        end = number % 2
        if end == HSM:
            wire.deliver(CLIENT, wire.seal(CLIENT, b"request"))
        frame = wire.seal(end, b"message %d" % number)
        where = where * 0x5851F42D4C957F2D + number & 0xFFFFFFFFFFFF
        with pytest.raises(PeerError):
            wire.deliver(end, flipped(frame, where))


@given(st.binary(max_size=200), st.sampled_from(FULL))
def test_bytes_that_are_injected_are_a_peer_error(noise, name):
    """Or a refusal that proves nothing: never another exception, and always the end."""
    wire = Wire(FLAG_SETS[name])
    wire.seal(CLIENT, b"request")
    for end in (CLIENT, HSM):
        with pytest.raises(CryptokiError):
            wire.deliver(end, noise)
    assert not wire.pair.client.is_alive
    assert not wire.pair.hsm.is_alive


def test_frames_of_one_channel_are_nothing_in_another_one():
    """A second client cannot use what it has seen of the first one's channel, whatever number it writes on it."""
    first, second = shake_hands(number=1), shake_hands(number=2)
    frame = first[0].seal(b"PIN 1234")
    with pytest.raises(PeerError) as refused:
        second[1].open(frame)
    assert CKR.SMS_ERROR == refused.value.code
    second = shake_hands(number=2)
    with pytest.raises(PeerError) as refused:
        second[1].open(frame[:8] + (2).to_bytes(8, "little") + frame[16:])
    assert CKR.BAD_REQ_SIGNATURE == refused.value.code
