"""Writes the test vectors of secure messaging, tests/vectors/sms/*.json; `--check` only says whether they are so.

Everything is deterministic: keys, nonces and certificates are SHAKE256 of names, signatures are those of RFC 6979, so
that another implementation can compare byte by byte. Byte strings are hexadecimal. The files say what they claim; the
protocol is docs/secure-messaging.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sms_ends import FLAG_SETS, stream
from sms_vectors_channels import bad_replies, bad_requests, conversation, roll_over
from sms_vectors_handshakes import handshakes, statements

from ptkc.sms import frames, keys
from ptkc.sms.bodies import refusal, write_code
from ptkc.sms.state import CLIENT, HELLO, KINDS, REQUEST

__all__ = ["FOLDER", "main", "vectors"]

FOLDER = Path(__file__).resolve().parent / "vectors" / "sms"


def _schedule() -> list[dict[str, Any]]:
    cases = []
    for name in ("one", "two"):
        shared, transcript = stream(f"shared {name}", 66), stream(f"transcript {name}", 64)
        requests, replies, application = keys.secrets_of(shared, transcript)
        generations, secret = [], requests
        for _ in range(3):
            made = keys.TrafficKeys(secret)
            generations.append({
                "traffic_secret": secret.hex(), "encrypt": made.encrypt.hex(), "nonce": made.fixed.hex(),
                "sign": made.sign.hex(),
            })  # fmt: skip
            secret = made.next
        cases.append({
            "claim": "all keys follow from the shared secret and the transcript; generations follow one another",
            "shared": shared.hex(),
            "transcript": transcript.hex(),
            "requests": requests.hex(),
            "replies": replies.hex(),
            "application": application.hex(),
            "generations_of_requests": generations,
            "identifier": keys.identifier_of(application).hex(),
            "proof": keys.proof_of(application, transcript).hex(),
        })
    return cases


def _frames() -> list[dict[str, Any]]:
    """Return frames that are none for any state, with the code of a client that reads them."""
    request = frames.header(REQUEST, 0, b"", 4, 7, 1)
    cases = [
        ("no protection", request + b"body", "OK"),
        ("associated data", frames.header(REQUEST, 0, b"slot", 4, 7, 1) + b"body", "OK"),
        ("encrypted, without a body", frames.header(REQUEST, 1, b"", 0, 7, 1) + bytes(16), "OK"),
        ("signed, without a body", frames.header(REQUEST, 2, b"", 0, 7, 1) + bytes(64), "OK"),
        ("a refusal", refusal(1), "OK"),
        ("nothing", b"", "BAD_REPLY"),
        ("23 bytes", bytes(23), "BAD_REPLY"),
        ("one byte less than it says", request + b"bod", "BAD_REPLY"),
        ("one byte more than it says", request + b"body!", "BAD_REPLY"),
        ("version 0", b"\0" + request[1:] + b"body", "BAD_REPLY"),
        ("kind 0", b"\1\0" + request[2:] + b"body", "BAD_REPLY"),
        ("kind 13", b"\1\x0d" + request[2:] + b"body", "BAD_REPLY"),
        ("protection 4", b"\1\5\4" + request[3:] + b"body", "BAD_REPLY"),
        ("encrypted, without room for the tag", b"\1\5\1" + request[3:] + b"body", "BAD_REPLY"),
        ("a refusal with a channel", refusal(1)[:8] + b"\1" + refusal(1)[9:], "BAD_REPLY"),
        ("a refusal that is signed", b"\1\x08\2" + refusal(1)[3:], "BAD_REPLY"),
        ("a TERMINATE that is not signed", frames.header(7, 1, b"", 8, 7, 1) + bytes(24), "BAD_PROTECTION"),
        ("a TERMINATE of 9 bytes", frames.header(7, 3, b"", 9, 7, 1) + bytes(89), "BAD_REPLY"),
        ("a HELLO of 1,025 bytes", frames.clear(HELLO, bytes(1025)), "BAD_REPLY"),
        ("a refusal of 7 bytes is one of a kind, but not of a body", frames.clear(8, write_code(1)[:7]), "OK"),
    ]
    made = []
    for claim, frame, code in cases:
        case: dict[str, Any] = {"claim": claim, "frame": frame.hex(), "expect": f"CKR_{code}"}
        if code == "OK":
            taken = frames.decode(frame, CLIENT)
            case |= {
                "kind": KINDS[taken.kind], "protection": taken.protection, "channel": taken.channel,
                "counter": taken.counter, "associated": taken.associated.hex(),
            }  # fmt: skip
        made.append(case)
    return made


def vectors() -> dict[str, Any]:
    """Return the content of each file, by name."""
    return {
        "key-schedule.json": _schedule(),
        "frames.json": _frames(),
        "handshakes.json": handshakes(),
        "statements.json": statements(),
        "channels.json": {
            "conversations": [conversation(name) for name in FLAG_SETS] + [roll_over()],
            "bad_requests": [bad_requests(name) for name in ("N", "U", "NU", "n", "u")],
            "bad_replies": [bad_replies(name) for name in ("N", "U", "NU")],
        },
    }


def main(arguments: list[str]) -> int:
    """Write the files, or compare them."""
    wrong = 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in vectors().items():
        text = json.dumps(content, indent=1) + "\n"
        path = FOLDER / name
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or text != path.read_text(encoding="utf-8"):
            print(f"{path} is not what tests/sms_vectors.py writes", file=sys.stderr)
            wrong += 1
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
