"""What a wire between the library and a network HSM changes is noticed: bits, whole frames, their order and number.

Under `N`, `U` and `NU` this holds for every frame, under `u` for every request, under `n` for every sensitive one. The
protocol itself is tested by itself in tests/test_sms_*.py; here a call of an application fails with a documented code.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from conformance.cryptoki import code_name
from lines import LOST, NOT_SENT, WRONG, Line, line_under
from machine import Machine
from modules import Module
from wire import REPLIES, REQUESTS, Passed, flipped, once

from ptkc.sms.frames import HEADER_LENGTH, clear
from ptkc.sms.protection import SIGNED
from ptkc.sms.state import PLAIN_REPLY, REFUSED
from ptkc.spec.constants import CKA, CKO, CKR

_SOAK = bool(os.environ.get("PTKC_SOAK"))

pytestmark = pytest.mark.soak


@pytest.mark.parametrize("flags", ["N", "U", "NU"])
def test_a_random_bit_of_every_frame_of_a_conversation(
    module: Module, appliance: Machine, tmp_path: Path, flags: str
) -> None:
    """100 requests and their replies: each is changed once, and no changed one is believed."""
    chance = Random(flags)
    with line_under(module, appliance, tmp_path, flags) as line:
        for number in range(200):
            direction = (REQUESTS, REPLIES)[number % 2]

            def changed(frame: bytes) -> list[bytes]:
                place = chance.choice([at for at in range(len(frame)) if at not in range(4, 8)])
                return [flipped(frame, place, chance.randrange(8))]

            code = line.outcome(
                lambda passed, way=direction: passed.direction == way and passed.kind in ("REQUEST", "REPLY"), changed
            )
            assert code in WRONG | LOST, code_name(code)
            assert line.recovered()


@pytest.mark.parametrize("flags", ["u", "nu"])
def test_a_changed_request_is_noticed_under_auth_protection(
    module: Module, appliance: Machine, tmp_path: Path, flags: str
) -> None:
    """Under `u` every request is signed; what a wire does to the replies is not noticed, and stands in the docs."""
    with line_under(module, appliance, tmp_path, flags) as line:
        for place in range(0, 120, 5):
            code = line.outcome(
                lambda passed: passed.kind == "REQUEST", lambda frame, at=place: [flipped(frame, at % len(frame))]
            )
            assert code in WRONG | LOST, f"byte {place}: {code_name(code)}"
            assert line.recovered()


def test_a_changed_sensitive_request_is_noticed_under_no_clear_pins(
    module: Module, appliance: Machine, tmp_path: Path
) -> None:
    """Encryption is AES-GCM, so what is encrypted cannot be changed either."""
    with line_under(module, appliance, tmp_path, "n") as line:
        for place in range(0, 80, 5):
            code = line.outcome(
                lambda passed: passed.kind == "REQUEST", lambda frame, at=place: [flipped(frame, at % len(frame))]
            )
            assert code in WRONG | LOST, f"byte {place}: {code_name(code)}"
            assert line.recovered()


@pytest.mark.parametrize("flags", ["N", "U"])
def test_whole_frames_are_watched_by_either_protection(
    module: Module, appliance: Machine, tmp_path: Path, flags: str
) -> None:
    """Encryption or signature alone: what was dropped, repeated, cut or put in clear has the same code."""
    with line_under(module, appliance, tmp_path, flags) as line:
        for trick in _TRICKS:
            _play(line, trick)


@pytest.fixture(scope="module")
def line(module: Module, appliance: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """Return a line under `NU` that the tests below share, each of which leaves it usable.

    Those above have finalised theirs: there is one library in a process.
    """
    with line_under(module, appliance, tmp_path_factory.mktemp("line"), "NU") as made_line:
        yield made_line


_BY_KIND = {
    "REQUEST": (REQUESTS, None),
    "REPLY": (REPLIES, None),
    "HELLO": (REQUESTS, "cut"),
    "ANSWER": (REPLIES, "cut"),
    "CONFIRM": (REQUESTS, "cut"),
    "ACCEPT": (REPLIES, "cut"),
}


_CHANGED = {"REQUEST": CKR.BAD_REQ_SIGNATURE, "REPLY": CKR.BAD_REPLY_SIGNATURE}
"""The code of a frame whose bytes behind the header were changed."""


def _length_of(line: Line, kind: str) -> int:
    """Return how many bytes a frame of a kind has."""
    line.wire.cut()
    line.recovered()
    return len([passed for passed in line.wire.frames if passed.kind == kind][-1].frame)


@pytest.mark.parametrize("kind", sorted(_BY_KIND))
def test_one_flipped_bit_in_any_byte_of_a_frame_is_noticed(line: Line, kind: str) -> None:
    """The call fails with a documented code, and the session goes on over a new channel."""
    _, before = _BY_KIND[kind]
    codes: dict[str, int] = {}
    length = _length_of(line, kind)
    for place in range(length):
        if before == "cut":
            line.wire.cut()
        code = line.outcome(
            lambda passed: passed.kind == kind, lambda frame, at=place: [flipped(frame, at, at % 8)]
        )
        allowed = WRONG | (NOT_SENT if before == "cut" else LOST)
        if kind in _CHANGED and place >= HEADER_LENGTH:
            allowed = {_CHANGED[kind]}
        assert code in allowed, f"{kind}, byte {place}: {code_name(code)}"
        codes[code_name(code)] = codes.get(code_name(code), 0) + 1
        assert line.recovered(), f"{kind}, byte {place}"
    print(kind, length, codes)


def test_one_flipped_bit_in_any_byte_of_a_farewell_is_noticed(line: Line) -> None:
    """A TERMINATE that nobody proved ends the channel all the same, but not for the reason that it gives."""
    length = 24 + 8 + 16 + 64
    for place in range(length):
        done = []

        def script(passed: Passed, at: int = place, done: list[str] = done) -> list[bytes]:
            if (passed.kind == "REQUEST" and not done) or (passed.kind == "TERMINATE" and passed.direction == REPLIES):
                done.append(passed.kind)
                return [flipped(passed.frame, at if passed.kind == "TERMINATE" else 30)]
            return [passed.frame]

        with line.wire.doing(script):
            code = line.code()
        assert ["REQUEST", "TERMINATE"] == done
        assert code in WRONG | LOST, f"byte {place}: {code_name(code)}"
        assert line.recovered()


# What a wire does with whole frames: direction, what it delivers instead of a frame and the one before, and the code.
_TRICKS: dict[str, tuple[str, Callable[[bytes, bytes], list[bytes]], int]] = {
    "request dropped": (REQUESTS, lambda *_: [], CKR.DEVICE_ERROR),
    "reply dropped": (REPLIES, lambda *_: [], CKR.DEVICE_ERROR),
    "request replayed": (REQUESTS, lambda _, earlier: [earlier], CKR.SMS_ERROR),
    "reply replayed": (REPLIES, lambda _, earlier: [earlier], CKR.SMS_ERROR),
    "requests in the wrong order": (REQUESTS, lambda frame, earlier: [earlier, frame], CKR.SMS_ERROR),
    "replies in the wrong order": (REPLIES, lambda frame, earlier: [earlier, frame], CKR.SMS_ERROR),
    "request cut short": (REQUESTS, lambda frame, _: [frame[:-1]], CKR.DEVICE_ERROR),
    "reply cut short": (REPLIES, lambda frame, _: [frame[:-1]], CKR.DEVICE_ERROR),
    "reply in clear": (REPLIES, lambda frame, _: [clear(PLAIN_REPLY, frame[HEADER_LENGTH:])], CKR.SMS_ERROR),
    "refusal in place of a reply": (REPLIES, lambda *_: [clear(REFUSED, bytes(8))], CKR.NO_SESSION_KEYS),
    "request of the other direction": (REPLIES, lambda frame, _: [frame[:1] + b"\5" + frame[2:]], CKR.SMS_ERROR),
}
_UNSIGNED = {
    "request without its MAC": (REQUESTS, lambda frame, _: [_without_mac(frame)], CKR.BAD_PROTECTION),
    "reply without its MAC": (REPLIES, lambda frame, _: [_without_mac(frame)], CKR.BAD_PROTECTION),
}


def _without_mac(frame: bytes) -> bytes:
    """Return a frame that says that it is not signed."""
    length = int.from_bytes(frame[4:8], "little") - 64
    return frame[:2] + bytes((frame[2] & ~SIGNED,)) + frame[3:4] + length.to_bytes(4, "little") + frame[8:-64]


def _play(line: Line, trick: str) -> None:
    """Have the wire do it once: the call has the code, nothing is done twice, and the session goes on."""
    direction, instead, expected = (_TRICKS | _UNSIGNED)[trick]
    assert line.recovered()
    earlier = [passed for passed in line.wire.frames if passed.kind in ("REQUEST", "REPLY")]
    before = [passed.frame for passed in earlier if passed.direction == direction][-1]
    kind = {REQUESTS: "REQUEST", REPLIES: "REPLY"}[direction]
    code = line.outcome(lambda passed: passed.kind == kind, lambda frame: instead(frame, before))
    assert code_name(expected) == code_name(code), trick
    assert line.recovered()


@pytest.mark.parametrize("trick", sorted(_TRICKS | _UNSIGNED))
def test_what_the_wire_does_with_whole_frames_is_noticed(line: Line, trick: str) -> None:
    """No answer is believed that belongs to another question."""
    _play(line, trick)


@pytest.mark.parametrize("direction", [REQUESTS, REPLIES])
def test_a_doubled_frame_is_noticed(line: Line, direction: str) -> None:
    """The first one is right; the second one ends the channel, so it is not done or believed a second time."""
    assert line.recovered()
    line.wire.forget()
    made_before = len(line.session.find({CKA.LABEL: "doubled"}))
    kind = {REQUESTS: "REQUEST", REPLIES: "REPLY"}[direction]
    template = {CKA.CLASS: CKO.DATA, CKA.LABEL: "doubled", CKA.VALUE: b"once"}
    code = line.outcome(
        lambda passed: passed.kind == kind, lambda frame: [frame, frame], lambda: line.session.create(template)
    )
    assert CKR.OK == code
    code = line.code()  # CKR_OK where the end of the channel was seen before anything was sent
    assert code in {CKR.OK, CKR.SMS_ERROR}, code_name(code)
    assert line.recovered()
    assert "HELLO" in line.wire.kinds()
    assert made_before + 1 == len(line.session.find({CKA.LABEL: "doubled"}))


# Last in this file: it begins anew each time, so the session of the others has ended


def test_one_flipped_bit_in_any_byte_of_a_statement_is_noticed(line: Line) -> None:
    """Nor in the question: the signature is over both. C_OpenSession fails, or asks again."""
    for kind, direction in (("QUESTION", REQUESTS), ("STATEMENT", REPLIES)):
        length, place = 24, 0
        while place < length:
            line.cryptoki.finalize()
            line.cryptoki.initialize()
            line.wire.forget()
            script, done = once(
                lambda passed, kind=kind: passed.kind == kind, lambda frame, at=place: [flipped(frame, at, at % 8)]
            )
            with line.wire.doing(script):
                slot = line.cryptoki.slots()[0]
                code = line.code(lambda slot=slot: line.cryptoki.open(slot))
            assert done.is_set()
            # Bytes that are no frame at all tell of a broken connection: then it is asked again on another one.
            asked_again = CKR.OK == code and 2 == line.wire.kinds().count("QUESTION")
            assert asked_again or code in WRONG | NOT_SENT, f"{kind}, byte {place}: {code_name(code)}"
            length = len([passed for passed in line.wire.frames if passed.kind == kind][-1].frame)
            assert direction == REQUESTS or length > 300
            # A length that was raised takes as long to notice as the client waits: once is enough.
            place += 1 if _SOAK else 5
