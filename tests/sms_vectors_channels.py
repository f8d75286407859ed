"""The vectors of channels, for sms_vectors.py: whole conversations, and frames that are refused in one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sms_ends import FLAG_SETS, ChannelPair, N, U, flip, is_sensitive, stream

from ptkc.sms import frames, traffic
from ptkc.sms.bodies import refusal, write_code
from ptkc.sms.protection import BOTH
from ptkc.sms.state import ACCEPT, HELLO, QUESTION, REPLY, REQUEST, TERMINATE

__all__ = ["bad_replies", "bad_requests", "conversation", "roll_over"]


def conversation(name: str) -> dict[str, Any]:
    """Return a conversation under one set of flags: two exchanges, then the HSM ends it."""
    label = f"vector conversation {name}"
    pair = ChannelPair(FLAG_SETS[name], number=7, name=label)
    messages = []
    for payload, answer in ((b"a digest", b"its value"), (b"PIN 1234", b"")):
        pair.exchange(payload, answer, b"slot 0, token 1234")
        for frame, body, by in ((pair.sent[-2], payload, "client"), (pair.sent[-1], answer, "hsm")):
            associated = frames.decode(frame).associated
            messages.append({
                "by": by, "payload": body.hex(), "associated": associated.hex(), "sensitive": is_sensitive(body),
                "frame": frame.hex(),
            })  # fmt: skip
    messages.append({"by": "hsm", "terminate": 0, "frame": pair.hsm.terminate().hex()})
    return {
        "claim": f"a conversation under the flags {name}",
        "flags": FLAG_SETS[name],
        "policy": pair.client.policy,
        "requests": stream(f"{label} requests", 64).hex(),
        "replies": stream(f"{label} replies", 64).hex(),
        "channel": 7,
        "first_counter": 0,
        "messages": messages,
    }


def roll_over() -> dict[str, Any]:
    """Return a conversation over the moment when keys change."""
    label = "vector roll-over"
    pair = ChannelPair(N | U, number=7, name=label)
    pair.skip(traffic.ROLL_OVER - 1)
    messages = []
    for number in range(2):
        payload = b"message %d" % number
        pair.exchange(payload, payload)
        messages += [
            {"by": by, "payload": payload.hex(), "associated": "", "sensitive": False, "frame": frame.hex()}
            for by, frame in zip(("client", "hsm"), pair.sent[-2:], strict=True)
        ]
    return {
        "claim": "the first exchange is the last one under the first keys",
        "flags": N | U,
        "policy": pair.client.policy,
        "requests": stream(f"{label} requests", 64).hex(),
        "replies": stream(f"{label} replies", 64).hex(),
        "channel": 7,
        "first_counter": traffic.ROLL_OVER - 1,
        "messages": messages,
    }


def bad_requests(name: str) -> dict[str, Any]:
    """Return what an HSM refuses in place of the second request of a conversation."""
    label = f"vector bad {name}"

    def pair() -> ChannelPair:
        made = ChannelPair(FLAG_SETS[name], number=7, name=label)
        made.exchange(b"PIN first", b"reply")
        return made

    good = pair()
    first, right = good.sent[0], good.ask(b"PIN second", b"slot")
    raw: Callable[[int, bytes], bytes] = lambda protection, payload: pair().client._conversation.send(  # noqa: E731
        REQUEST, protection, payload
    )
    cases = [
        ("a bit of the body is flipped", flip(right, 30), "BAD_REQ_SIGNATURE"),
        ("the last bit is flipped", flip(right, -1, 0x80), "BAD_REQ_SIGNATURE"),
        ("the associated data is another", right.replace(b"slot", b"slit"), "BAD_REQ_SIGNATURE"),
        ("the last byte is missing", right[:-1], "SMS_ERROR"),
        ("a byte follows", right + b"\0", "SMS_ERROR"),
        ("only a part of the header", right[:20], "SMS_ERROR"),
        ("the first one again", first, "SMS_ERROR"),
        ("one is left out", flip(right, 16, 2 ^ 1), "SMS_ERROR"),
        ("the channel is another", flip(right, 8), "SMS_ERROR"),
        ("no protection at all", raw(0, b"PIN second"), "BAD_PROTECTION"),
        ("a kind that is none", flip(right, 1, REQUEST ^ 13), "SMS_ERROR"),
        ("a body that is too long", right[:4] + b"\xff\xff\xff\xff" + right[8:], "SMS_ERROR"),
        ("more associated data than there is", right[:3] + b"\xff" + right[4:], "SMS_ERROR"),
        ("the HSM's own reply comes back", good.sent[1], "SMS_ERROR"),
        ("a HELLO", frames.clear(HELLO, b""), "SMS_ERROR"),
        ("a QUESTION", frames.clear(QUESTION, b""), "SMS_ERROR"),
        ("an ACCEPT", frames.header(ACCEPT, BOTH, b"", 1, 7, 1) + bytes(81), "SMS_ERROR"),
    ]
    return {
        "claim": f"in place of the second request under {name}",
        "flags": FLAG_SETS[name],
        "policy": good.client.policy,
        "requests": stream(f"{label} requests", 64).hex(),
        "replies": stream(f"{label} replies", 64).hex(),
        "channel": 7,
        "before": [frame.hex() for frame in good.sent[:2]],
        "good": right.hex(),
        "bad": [{"claim": claim, "frame": frame.hex(), "expect": f"CKR_{code}"} for claim, frame, code in cases],
    }


def bad_replies(name: str) -> dict[str, Any]:
    """Return what a client refuses in place of the second reply of a conversation."""
    label = f"vector bad reply {name}"
    pair = ChannelPair(FLAG_SETS[name], number=7, name=label)
    pair.exchange(b"PIN first", b"reply")
    pair.hsm.open(pair.ask(b"PIN second"))
    replies = pair.hsm._conversation._out
    before = replies.counter, replies.encrypted
    ended = replies.seal(TERMINATE, BOTH, write_code(0x80000386), b"")
    replies.counter, replies.encrypted = before
    right = pair.reply(b"the reply")
    cases = [
        ("a bit of the body is flipped", flip(right, 24), "BAD_REPLY_SIGNATURE"),
        ("the last bit is flipped", flip(right, -1, 0x80), "BAD_REPLY_SIGNATURE"),
        ("the last byte is missing", right[:-1], "BAD_REPLY"),
        ("a byte follows", right + b"\0", "BAD_REPLY"),
        ("the first one again", pair.sent[1], "SMS_ERROR"),
        ("the channel is another", flip(right, 8), "SMS_ERROR"),
        ("no protection at all", frames.header(REPLY, 0, b"", 9, 7, 1) + b"the reply", "BAD_PROTECTION"),
        ("the client's own request comes back", pair.sent[2], "SMS_ERROR"),
        ("the HSM has restarted, with proof", ended, "DEVICE_RESET"),
        ("the HSM has restarted, without proof", refusal(0x80000386), "NO_SESSION_KEYS"),
    ]
    return {
        "claim": f"in place of the second reply under {name}",
        "flags": FLAG_SETS[name],
        "policy": pair.client.policy,
        "requests": stream(f"{label} requests", 64).hex(),
        "replies": stream(f"{label} replies", 64).hex(),
        "channel": 7,
        "before": [frame.hex() for frame in pair.sent[:3]],
        "good": right.hex(),
        "bad": [{"claim": claim, "frame": frame.hex(), "expect": f"CKR_{code}"} for claim, frame, code in cases],
    }
