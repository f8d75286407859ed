"""Frames and the bodies of frames without a command: one encoding, limits, and no bytes that are neither."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptkc.sms import bodies, frames
from ptkc.sms.errors import BAD_MAC, MALFORMED, FrameError
from ptkc.sms.protection import BOTH, EVERYTHING, policy_of_flags, policy_of_letters, reply_needs, request_needs
from ptkc.sms.state import (
    CLIENT,
    CONFIRM,
    HELLO,
    HSM,
    KINDS,
    NEXT,
    OTHER,
    PLAIN_REQUEST,
    REFUSED,
    REPLY,
    REQUEST,
    TERMINATE,
)
from ptkc.spec.constants import CKF, CKR
from ptkc.spec.errors import PeerError

SERIALS = st.text("0123456789ABCabc", min_size=1, max_size=16)
NONCES, POINTS = st.binary(min_size=32, max_size=32), st.binary(min_size=133, max_size=133)
ULONG = st.integers(0, 2**64 - 1)
CHAINS = st.lists(st.binary(max_size=60), max_size=2).map(tuple)
STATEMENTS = st.builds(bodies.Statement, SERIALS, ULONG, ULONG, CHAINS, st.just(value=False))


@given(
    st.sampled_from([REQUEST, REPLY]), st.integers(0, 3), st.binary(max_size=255), st.binary(max_size=99), ULONG, ULONG
)
def test_a_frame_is_taken_apart_as_it_was_put_together(kind, protection, associated, body, channel, counter):
    """Every field comes back, and the parts that are protected are where they are expected."""
    start = frames.header(kind, protection, associated, len(body), channel, counter)
    tag, mac = b"T" * 16 * (protection & 1), b"M" * 32 * (protection & 2)
    frame = frames.decode(start + body + tag + mac)
    assert (kind, protection, channel, counter, associated) == frame[:5]
    assert start == frame.start
    assert body + tag == frame.body
    assert mac == frame.mac
    assert start + body + tag == frame.signed if mac else start + body + tag
    assert len(start + body + tag + mac) - 24 == frames.length_that_follows(start[:24], CLIENT)


@given(st.binary(max_size=400), st.sampled_from([CLIENT, HSM]))
def test_any_bytes_are_a_frame_or_a_peer_error(data, reader):
    """No other exception, whatever is sent; also behind a header that is right."""
    for start in (b"", b"\1\5\0\0", b"\1\5\3\0" + (len(data) + 16).to_bytes(4, "little") + bytes(16)):
        with suppress(PeerError):
            frames.decode(start + data, reader)
        with suppress(PeerError):
            frames.length_that_follows(start + data, reader)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_body_or_a_peer_error(data):
    """The same for what is inside the frames of handshake, statement and ends."""
    for read in (
        bodies.read_hello, bodies.read_answer, bodies.read_confirm, bodies.read_accept, bodies.read_question,
        bodies.read_statement, lambda data: bodies.read_code(data, CLIENT),
    ):  # fmt: skip
        for start in (b"", bytes(32) + b"\4" * 133):
            with suppress(PeerError):
                read(start + data)


@given(NONCES, POINTS, st.integers(0, EVERYTHING), SERIALS, ULONG.filter(bool), STATEMENTS, st.binary(max_size=139))
def test_bodies_are_read_as_they_were_written(nonce, point, policy, serial, channel, statement, signature):
    """One encoding each, and not a byte less or more."""
    hello = bodies.Hello(nonce, point, policy, serial)
    head = bodies.write_answer(nonce, point, channel, statement)
    facts = bodies.write_statement(statement)
    ending = bodies.write_signature(signature)
    question = bodies.Question(nonce, serial)
    cases = (
        (bodies.read_hello, bodies.write_hello(hello), hello),
        (bodies.read_answer, head + ending, (nonce, point, channel, statement, signature, head)),
        (bodies.read_statement, facts + ending, (statement, facts, signature)),
        (bodies.read_question, bodies.write_question(question), question),
    )
    for read, data, value in cases:
        assert value == read(data)
        for wrong in (data[:-1], data + b"\0"):
            with pytest.raises(FrameError):
                read(wrong)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("", CKR.BAD_REPLY),
        ("01050000" "00000000" + "00" * 15, CKR.BAD_REPLY),
        ("02050000" "00000000" + "00" * 16, CKR.BAD_REPLY),
        ("01000000" "00000000" + "00" * 16, CKR.BAD_REPLY),
        ("010d0000" "00000000" + "00" * 16, CKR.BAD_REPLY),
        ("01050400" "00000000" + "00" * 16, CKR.BAD_REPLY),
        ("01050001" "00000000" + "00" * 16, CKR.BAD_REPLY),
        ("01050100" "0f000000" + "00" * 16, CKR.BAD_REPLY),
        ("01050200" "3f000000" + "00" * 16, CKR.BAD_REPLY),
        ("01050000" "01000010" + "00" * 16, CKR.BAD_REPLY),
        ("01010100" "10000000" + "00" * 16, CKR.BAD_REPLY),
        ("01080000" "08000000" "01" + "00" * 15, CKR.BAD_REPLY),
        ("01080000" "08000000" + "00" * 8 + "01" + "00" * 7, CKR.BAD_REPLY),
        ("01010000" "01040000" + "00" * 16, CKR.BAD_REPLY),
        ("01030100" "11000000" + "00" * 16, CKR.BAD_PROTECTION),
        ("01070000" "08000000" + "00" * 16, CKR.BAD_PROTECTION),
    ],
)  # fmt: skip
def test_a_header_that_is_none_is_refused_before_what_follows_is_looked_at(data, code):
    """Version, kind, protection, lengths and limits: a stream never waits for more than is allowed."""
    for read in (frames.length_that_follows, frames.decode):
        with pytest.raises(FrameError) as refused:
            read(bytes.fromhex(data), CLIENT)
        assert code == refused.value.code


def test_a_frame_that_is_shorter_or_longer_than_its_header_says_is_refused():
    """The code is that of the end that reads."""
    frame = frames.clear(PLAIN_REQUEST, b"body")
    for wrong in (frame[:-1], frame + b"\0"):
        for reader, code in ((CLIENT, CKR.BAD_REPLY), (HSM, CKR.SMS_ERROR)):
            with pytest.raises(FrameError) as refused:
                frames.decode(wrong, reader)
            assert code == refused.value.code


def test_tables_speak_of_the_same_kinds_and_ends():
    """Every kind has a shape and a name, every one but the plain ones a turn, and both ends have their codes."""
    assert set(KINDS) == set(frames.SHAPES)
    assert set(KINDS) - {11, 12} == {kind for _, _, kind in NEXT}
    assert {CLIENT, HSM} == set(MALFORMED) == set(BAD_MAC) == set(OTHER)
    assert {(BOTH, BOTH)} == {frames.SHAPES[kind][:2] for kind in (CONFIRM, TERMINATE)}
    assert {(0, 0)} == {frames.SHAPES[kind][:2] for kind in (HELLO, REFUSED)}


@pytest.mark.parametrize(
    ("flags", "letters", "plain", "sensitive", "reply"),
    [
        (0, "", 0, 0, 0),
        (CKF.NO_CLEAR_PINS, "E", 0, 1, 0),
        (CKF.AUTH_PROTECTION, "S", 2, 2, 0),
        (CKF.FULL_SMS_ENC, "N", 1, 1, 1),
        (CKF.FULL_SMS_SIGN, "U", 2, 2, 2),
        (CKF.FULL_SMS_ENC | CKF.FULL_SMS_SIGN, "NU", 3, 3, 3),
        (CKF.NO_CLEAR_PINS | CKF.AUTH_PROTECTION, "ES", 2, 3, 0),
        (None, "SR", 2, 2, 2),
        (None, "R", 0, 0, 2),
    ],
)
def test_flags_and_letters_mean_what_the_text_says(flags, letters, plain, sensitive, reply):
    """Protection of a request, of a sensitive one, and of a reply: 1 encrypted, 2 signed."""
    policies = [policy_of_letters(letters)] + ([] if flags is None else [policy_of_flags(flags | CKF.MODE_LOCKED)])
    for policy in policies:
        needs = [request_needs(policy, sensitive=False), request_needs(policy, sensitive=True), reply_needs(policy)]
        assert [plain, sensitive, reply] == needs


def test_what_a_session_may_load_brings_no_cryptography_in():
    """States, policies and frames are there before libcrypto; the rest waits for `sms.load`."""
    plain = "errors state protection frames bodies"
    program = f"""
import sys
before = set(sys.modules)
from ptkc.sms import {plain.replace(" ", ", ")}
late = {{"cryptography", "hashlib", "_hashlib", "hmac", "typing", "dataclasses", "enum", "re", "logging"}}
print(sorted(late & (set(sys.modules) - before)))
"""
    root = str(Path(__file__).resolve().parent.parent)
    run = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert "[]\n" == run.stdout


def test_a_letter_that_says_nothing_is_named():
    """The caller says which item it stands in."""
    with pytest.raises(ValueError, match=r"^u$"):
        policy_of_letters("Su")
