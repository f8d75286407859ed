"""The vectors of secure messaging: our implementation and another one, which shares no code with it, agree."""

from __future__ import annotations

import json

import pytest
import sms_other as other
from sms_ends import PIK, fixed, is_sensitive, sign
from sms_vectors import FOLDER, vectors

from ptkc.sms import frames, keys
from ptkc.sms.bodies import NEW, Statement
from ptkc.sms.channel import Channel
from ptkc.sms.conversation import Conversation
from ptkc.sms.handshake import Handshake, Identity, read_greeting
from ptkc.sms.state import CLIENT, HSM, KINDS
from ptkc.sms.statement import Question
from ptkc.sms.trust import Verifier
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError, name_of


def read(name):
    """Return the content of a file."""
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def raw(text):
    """Return the bytes of a field, None if there are none."""
    return None if text is None else bytes.fromhex(text)


def outcome_of(call, *arguments):
    """Return the result of a call and CKR_OK, or None and the name of the code."""
    try:
        return call(*arguments), "CKR_OK"
    except CryptokiError as error:
        return None, name_of(CKR, error.code)


def verifier(case, held):
    """Return what a vector's client holds."""
    pinned = {} if held["pic"] is None else {case["serial"]: raw(held["pic"])}
    return Verifier(pinned.get, raw(held["poc"]), lambda: case["time"])


SCHEDULE, FRAMES, HANDSHAKES = read("key-schedule.json"), read("frames.json"), read("handshakes.json")
STATEMENTS, CHANNELS = read("statements.json"), read("channels.json")
CONVERSATIONS, BAD_REQUESTS = CHANNELS["conversations"], CHANNELS["bad_requests"]
BAD_REPLIES = CHANNELS["bad_replies"]


def claim(case):
    """Return the name of a test."""
    return case["claim"]


def test_the_files_are_what_the_script_writes():
    """Byte by byte: `python tests/sms_vectors.py` writes them."""
    for name, content in vectors().items():
        assert json.dumps(content, indent=1) + "\n" == (FOLDER / name).read_text(encoding="utf-8")
    assert set(vectors()) == {path.name for path in FOLDER.iterdir()}


@pytest.mark.parametrize("case", SCHEDULE)
def test_keys_follow_from_the_shared_secret(case):
    """In both implementations."""
    shared, transcript = raw(case["shared"]), raw(case["transcript"])
    expected = tuple(raw(case[name]) for name in ("requests", "replies", "application"))
    assert expected == keys.secrets_of(shared, transcript) == other.schedule(shared, transcript)
    application = expected[2]
    for module in ((keys.identifier_of, keys.proof_of), (other.identifier, other.proof)):
        assert raw(case["identifier"]) == module[0](application)
        assert raw(case["proof"]) == module[1](application, transcript)
    keys.check_proof(application, transcript, raw(case["proof"]))
    secret = expected[0]
    for generation in case["generations_of_requests"]:
        made = keys.TrafficKeys(secret)
        parts = (made.encrypt, made.fixed, made.sign)
        assert raw(generation["traffic_secret"]) == secret
        assert tuple(raw(generation[name]) for name in ("encrypt", "nonce", "sign")) == parts
        assert parts == other.Direction(secret, 0)._keys()
        secret = made.next


@pytest.mark.parametrize("case", FRAMES, ids=claim)
def test_frames_are_taken_apart(case):
    """Or refused with the code of a client."""
    frame, code = outcome_of(frames.decode, raw(case["frame"]), CLIENT)
    assert case["expect"] == code
    if frame is not None:
        taken = (KINDS[frame.kind], frame.protection, frame.channel, frame.counter, frame.associated.hex())
        assert tuple(case[name] for name in ("kind", "protection", "channel", "counter", "associated")) == taken


@pytest.mark.parametrize("case", HANDSHAKES["good"], ids=claim)
def test_handshakes_are_the_same_bytes(case):
    """Each end makes of what it draws and receives the frames of the file; so does the other implementation."""
    expected = {name: case[name] for name in other.handshake(case)}
    assert expected == other.handshake(case)
    client, offer = begin(case)
    assert raw(case["hello"]) == client.frame
    assert raw(case["answer"]) == offer.frame
    confirmation = client.answered(offer.frame, verifier(case, case["held"]))
    assert raw(case["confirm"]) == confirmation.frame
    hsm, accept = offer.confirmed(confirmation.frame, known(case))
    assert raw(case["accept"]) == accept
    for channel in (hsm, confirmation.accepted(accept)):
        made = (channel.outcome, channel.secret.hex(), channel.policy)
        assert tuple(case[name] for name in ("outcome", "secret", "channel_policy")) == made


def known(case):
    """Return what gives the secrets that a vector's HSM knows."""
    secret = raw(case["application"]) if case["hsm_knows_the_application"] else None
    return {}.get if secret is None else {keys.identifier_of(secret): secret}.get


def begin(case):
    """Return the first two steps of a vector's handshake."""
    statement = Statement(
        case["serial"], case["flags"], case["boot"], tuple(raw(part) for part in case["chain"]), proven=False
    )
    with fixed(f"vector {case['claim']}"):
        client = Handshake(case["serial"], case["policy"], is_sensitive, raw(case["application"]))
        identity = Identity(statement, lambda message: sign(PIK, message))
        return client, read_greeting(client.frame).answer(identity, case["channel"], is_sensitive)


@pytest.mark.parametrize("bad", HANDSHAKES["bad_answers_to_the_first"], ids=claim)
def test_bad_answers_are_refused(bad):
    """With the code of the file."""
    case = HANDSHAKES["good"][0]
    client, _ = begin(case)
    assert bad["expect"] == outcome_of(client.answered, raw(bad["answer"]), verifier(case, case["held"]))[1]


@pytest.mark.parametrize("bad", HANDSHAKES["bad_ends_of_the_third"], ids=claim)
def test_bad_ends_of_a_handshake_are_refused(bad):
    """With the code of the file, by the HSM in place of CONFIRM, by the client in place of ACCEPT."""
    case = HANDSHAKES["good"][2]
    client, offer = begin(case)
    confirmation = client.answered(offer.frame, verifier(case, case["held"]))
    if bad["instead_of"] == "confirm":
        code = outcome_of(offer.confirmed, raw(bad["frame"]), known(case))[1]
    else:
        code = outcome_of(confirmation.accepted, raw(bad["frame"]))[1]
    assert bad["expect"] == code


@pytest.mark.parametrize("case", STATEMENTS["cases"], ids=claim)
def test_statements_are_believed_or_not(case):
    """As the file says, and what is proven can be verified by the other implementation."""
    with fixed("vector statement"):
        question = Question(STATEMENTS["serial"])
    assert raw(STATEMENTS["question"]) == question.frame
    stated, code = outcome_of(question.answered, raw(case["statement"]), verifier(STATEMENTS, case["held"]))
    assert case["expect"] == code
    if stated is not None:
        assert case["proven"] is stated.proven
    if case["proven"]:
        assert STATEMENTS["flags"] == stated.flags
        other.verify_statement(STATEMENTS, raw(case["statement"]))


def ends(case, first=0):
    """Return the channels of a vector's conversation at their first counter."""
    made = []
    for end in (CLIENT, HSM):
        conversation = Conversation(end, case["channel"], raw(case["requests"]), raw(case["replies"]))
        conversation.state = "open"
        for direction in (conversation._in, conversation._out):
            direction.counter = direction.encrypted = first
        statement = Statement("1234567", case["flags"], 3, (), proven=True)
        made.append(Channel(conversation, statement, case["policy"], NEW, bytes(32), is_sensitive))
    return made


@pytest.mark.parametrize("case", CONVERSATIONS, ids=claim)
def test_conversations_are_the_same_bytes(case):
    """Sealed by one end, opened by the other; sealed and opened by the other implementation."""
    client, hsm = ends(case, case["first_counter"])
    secrets = raw(case["requests"]), raw(case["replies"])
    makes, takes = ([other.Direction(secret, 7, case["first_counter"]) for secret in secrets] for _ in range(2))
    for message in case["messages"]:
        reply = message["by"] == "hsm"
        sender, reader = (hsm, client) if reply else (client, hsm)
        frame = raw(message["frame"])
        if "terminate" in message:
            assert frame == sender.terminate(message["terminate"])
            assert (None, "CKR_NO_SESSION_KEYS") == outcome_of(reader.open, frame)
            assert message["terminate"].to_bytes(8, "little") == takes[reply].take(frame, (7,), 3)
            continue
        payload, associated = raw(message["payload"]), raw(message["associated"])
        least = other.needs(case["policy"], reply=reply, sensitive=message["sensitive"])
        assert frame == sender.seal(payload, associated)
        assert frame == makes[reply].make(6 if reply else 5, least, payload, associated)
        assert (payload, associated, least) == reader.open(frame)
        assert payload == takes[reply].take(frame, (6 if reply else 5,), least)


@pytest.mark.parametrize("case", BAD_REQUESTS, ids=claim)
def test_bad_requests_are_refused(case):
    """With the code of the file, by both implementations; the good one in their place is taken."""
    least = other.needs(case["policy"], reply=False, sensitive=False)
    encrypts = case["policy"] & 1
    for bad in [{"claim": "good", "frame": case["good"], "expect": "CKR_OK"}, *case["bad"]]:
        _, hsm = ends(case)
        hsm.open(raw(case["before"][0]))
        hsm._conversation.send(6, 0, b"")
        assert bad["expect"] == outcome_of(hsm.open, raw(bad["frame"]))[1], bad["claim"]
        direction = other.Direction(raw(case["requests"]), case["channel"], 1)
        try:
            direction.take(raw(bad["frame"]), (5,), least, sensitive=is_sensitive if encrypts else bytes.isspace)
            code = "CKR_OK"
        except other.Refused as refused:
            code = f"CKR_{refused}"
        assert bad["expect"] == code, bad["claim"]


@pytest.mark.parametrize("case", BAD_REPLIES, ids=claim)
def test_bad_replies_are_refused(case):
    """With the code of the file; the good one in their place is taken."""
    for bad in [{"claim": "good", "frame": case["good"], "expect": "CKR_OK"}, *case["bad"]]:
        client, _ = ends(case)
        assert raw(case["before"][0]) == client.seal(b"PIN first")
        client.open(raw(case["before"][1]))
        assert raw(case["before"][2]) == client.seal(b"PIN second")
        assert bad["expect"] == outcome_of(client.open, raw(bad["frame"]))[1], bad["claim"]
