"""The vectors of handshakes and of signed statements, for sms_vectors.py."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sms_ends import (
    NOW,
    OTHER_SERIAL,
    OWNER,
    PIK,
    SELF_SIGNED,
    SERIAL,
    UNDER_OWNER,
    Key,
    N,
    U,
    certificate,
    fixed,
    flip,
    identity,
    is_sensitive,
    key,
    stream,
    verifier,
)

from ptkc.sms import frames, keys
from ptkc.sms.bodies import refusal
from ptkc.sms.handshake import Handshake, read_greeting
from ptkc.sms.protection import BOTH, REPLIES_SIGNED, REQUESTS_SIGNED
from ptkc.sms.state import ANSWER, REPLY, REQUEST
from ptkc.sms.statement import Question, read_inquiry

__all__ = ["handshakes", "statements"]

SECRET = stream("vector application", 32)
HELD = {
    "PIC": {"pic": SELF_SIGNED.hex(), "poc": None},
    "POC": {"pic": None, "poc": OWNER.hex()},
    "nothing": {"pic": None, "poc": None},
}


def _scalar(private: Key) -> str:
    """Return a private key as a number of 66 bytes, big-endian."""
    return private.private_numbers().private_value.to_bytes(66, "big").hex()


def _handshake(
    claim: str, flags: int, policy: int, chain: tuple[bytes, ...], held: str, secret: bytes | None, *, known: bool
) -> dict[str, Any]:
    """Return one handshake, and what is wrong with frames that are nearly those of it."""
    name = f"vector {claim}"
    with fixed(name):
        client = Handshake(SERIAL, policy, is_sensitive, secret)
        offer = read_greeting(client.frame).answer(identity(flags, chain), 0x0102030405060708, is_sensitive)
    believer = verifier({SERIAL: SELF_SIGNED} if held == "PIC" else {}, OWNER if held == "POC" else None)
    confirmation = client.answered(offer.frame, believer)
    channel, accept = offer.confirmed(confirmation.frame, {keys.identifier_of(SECRET): SECRET}.get if known else {}.get)
    return {
        "claim": claim,
        "serial": SERIAL,
        "policy": policy,
        "client_nonce": stream(f"{name} nonce 2", 32).hex(),
        "client_key": _scalar(key(f"{name} ephemeral 1")),
        "application": None if secret is None else secret.hex(),
        "held": HELD[held],
        "time": int(NOW),
        "hsm_nonce": stream(f"{name} nonce 4", 32).hex(),
        "hsm_key": _scalar(key(f"{name} ephemeral 3")),
        "identity_key": _scalar(PIK),
        "flags": flags,
        "boot": 3,
        "chain": [part.hex() for part in chain],
        "channel": channel.number,
        "hsm_knows_the_application": known,
        "hello": client.frame.hex(),
        "answer": offer.frame.hex(),
        "confirm": confirmation.frame.hex(),
        "accept": accept.hex(),
        "outcome": channel.outcome,
        "secret": channel.secret.hex(),
        "channel_policy": channel.policy,
    }


def _bad_answers(good: dict[str, Any]) -> list[dict[str, Any]]:
    """Return answers to the HELLO of a handshake that a client refuses."""
    name = f"vector {good['claim']}"
    hello, answer = bytes.fromhex(good["hello"]), bytes.fromhex(good["answer"])

    def answered(chain: tuple[bytes, ...] = (SELF_SIGNED,), private: Key = PIK, serial: str = SERIAL) -> bytes:
        with fixed(name):
            Handshake(SERIAL, 0, is_sensitive)
            greeting = read_greeting(hello)
            greeting.serial = serial
            return greeting.answer(identity(N | U, chain, 3, serial, private), good["channel"], is_sensitive).frame

    point = frames.HEADER_LENGTH + 32
    reply = frames.header(REPLY, BOTH, b"", 0, good["channel"], 0) + bytes(80)
    cases = [
        ("a bit of the HSM's nonce is flipped", flip(answer, 24), "CANNOT_DERIVE_KEYS"),
        ("the ephemeral key is no point", answer[:point] + b"\4" + bytes(132) + answer[point + 133 :],
         "CANNOT_DERIVE_KEYS"),
        ("the channel is 0", answer[: point + 133] + bytes(8) + answer[point + 141 :], "BAD_REPLY"),
        ("a flag is missing", flip(answer, point + 141, 0x80), "CANNOT_DERIVE_KEYS"),
        ("the boot number is another", flip(answer, point + 149), "CANNOT_DERIVE_KEYS"),
        ("the signature is by another key", answered(private=key("thief")), "CANNOT_DERIVE_KEYS"),
        ("a bit of the signature is flipped", flip(answer, -1), "CANNOT_DERIVE_KEYS"),
        ("the certificate is another one than is held", answered((UNDER_OWNER, OWNER)), "CERT_NOT_VALIDATED"),
        ("another HSM answers", answered((certificate([OTHER_SERIAL], PIK),), serial=OTHER_SERIAL),
         "CERT_NOT_VALIDATED"),
        ("a byte follows", frames.clear(ANSWER, answer[24:] + b"\0"), "BAD_REPLY"),
        ("the last byte is missing", answer[:-1], "BAD_REPLY"),
        ("the version is 2", flip(answer, 0, 3), "BAD_REPLY"),
        ("it says to be encrypted", flip(answer, 2), "BAD_REPLY"),
        ("the HELLO comes back", hello, "SMS_ERROR"),
        ("a reply comes before the handshake is over", reply, "SMS_ERROR"),
        ("it is refused", refusal(0x80000386), "SMS_ERROR"),
    ]  # fmt: skip
    return [{"claim": claim, "answer": frame.hex(), "expect": f"CKR_{code}"} for claim, frame, code in cases]


def _bad_ends(good: dict[str, Any]) -> list[dict[str, Any]]:
    """Return frames that an HSM refuses in place of CONFIRM, and a client in place of ACCEPT."""
    confirm, accept = bytes.fromhex(good["confirm"]), bytes.fromhex(good["accept"])
    cases = [
        ("a bit of the ciphertext is flipped", "confirm", flip(confirm, 24), "BAD_REQ_SIGNATURE"),
        ("a bit of the MAC is flipped", "confirm", flip(confirm, -1), "BAD_REQ_SIGNATURE"),
        ("it is of another channel", "confirm", flip(confirm, 8), "SMS_ERROR"),
        ("the counter is 1", "confirm", flip(confirm, 16), "SMS_ERROR"),
        ("it is not signed", "confirm", flip(confirm, 2, 2), "BAD_PROTECTION"),
        ("it is a REQUEST", "confirm", flip(confirm, 1, 3 ^ REQUEST), "SMS_ERROR"),
        ("a bit of the MAC is flipped", "accept", flip(accept, -1), "BAD_REPLY_SIGNATURE"),
        ("the client's own frame comes back", "accept", confirm, "SMS_ERROR"),
        ("it is refused", "accept", refusal(0x80000381), "NO_SESSION_KEYS"),
    ]
    return [
        {"claim": claim, "instead_of": place, "frame": frame.hex(), "expect": f"CKR_{code}"}
        for claim, place, frame, code in cases
    ]


def handshakes() -> dict[str, Any]:
    """Return the content of handshakes.json."""
    both = REQUESTS_SIGNED | REPLIES_SIGNED
    good = [
        _handshake("a PIC that is held, no application", N | U, 0, (SELF_SIGNED,), "PIC", None, known=False),
        _handshake("a chain to the owner, requests and replies signed", 0, both, (UNDER_OWNER, OWNER), "POC", None,
                   known=False),
        _handshake("an application is joined", N, 0, (SELF_SIGNED,), "PIC", SECRET, known=True),
        _handshake("an application that the HSM has lost", N, 0, (SELF_SIGNED,), "PIC", SECRET, known=False),
    ]  # fmt: skip
    return {
        "good": good,
        "bad_answers_to_the_first": _bad_answers(good[0]),
        "bad_ends_of_the_third": _bad_ends(good[2]),
    }


def statements() -> dict[str, Any]:
    """Return the content of statements.json."""
    name = "vector statement"
    with fixed(name):
        question = Question(SERIAL)
    right = read_inquiry(question.frame).answer(identity(N))
    with fixed("vector statement, an older one"):
        older = read_inquiry(Question(SERIAL).frame).answer(identity(0))
    unsigned = read_inquiry(question.frame).answer(identity(0)._replace(sign=None))
    nobody = read_inquiry(question.frame).answer(identity(0, chain=()))
    cases = [
        ("the PIC is held", right, "PIC", "CKR_OK", True),
        ("nothing is held", right, "nothing", "CKR_OK", False),
        ("nothing is held, and nothing is signed", nobody, "nothing", "CKR_OK", False),
        ("an older one", older, "PIC", "CKR_SMS_ERROR", None),
        ("a PIC, but no signature", unsigned, "PIC", "CKR_SMS_ERROR", None),
        ("no PIC", nobody, "PIC", "CKR_SMS_ERROR", None),
        ("a flag is missing", flip(right, 24, 0x80), "PIC", "CKR_SMS_ERROR", None),
        ("a PIC that is self-signed, where the owner is known", right, "POC", "CKR_CERT_NOT_VALIDATED", None),
        ("a byte is missing", right[:-1], "PIC", "CKR_BAD_REPLY", None),
    ]
    return {
        "serial": SERIAL,
        "nonce": stream(f"{name} nonce 1", 32).hex(),
        "question": question.frame.hex(),
        "identity_key": _scalar(PIK),
        "identity_point": PIK.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint).hex(),
        "flags": N,
        "boot": 3,
        "chain": [SELF_SIGNED.hex()],
        "time": int(NOW),
        "cases": [
            {"claim": claim, "statement": frame.hex(), "held": HELD[held], "expect": expect, "proven": proven}
            for claim, frame, held, expect, proven in cases
        ],
    }
