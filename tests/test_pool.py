"""The connections of an application to an HSM: how many, who waits, and which calls are sent a second time."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from processes import wait_for

from ptkc.client.connection import Connection, Opened
from ptkc.client.pool import Pool
from ptkc.client.protection import Protection
from ptkc.client.transport import DirectTransport, NotSentError, Transport
from ptkc.sms.frames import clear, decode
from ptkc.sms.state import PLAIN_REPLY, REFUSED
from ptkc.spec.constants import CKR
from ptkc.spec.errors import CryptokiError, PeerError


class Wire(Transport):
    """A transport whose other end is a function; it counts."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        """Begin open."""
        self.answer = answer
        self.asked: list[bytes] = []
        self.limits: list[float | None] = []
        self.unasked = b""
        self.is_open = True
        self.is_dropped = False
        self.is_interrupted = False

    def exchange(self, frame: bytes, limit: float | None = None) -> bytes:
        """Answer as the function does."""
        if not self.is_open:
            raise NotSentError("closed")
        payload = bytes(decode(frame).body)
        self.asked.append(payload)
        self.limits.append(limit)
        return clear(PLAIN_REPLY, self.answer(payload))

    def pending(self) -> bytes:
        """Return what came unasked."""
        if not self.is_open:
            raise NotSentError("closed")
        return self.unasked

    def send(self, frame: bytes) -> None:
        """Keep it."""
        self.asked.append(frame)

    def interrupt(self) -> None:
        """Take a note."""
        self.is_interrupted = True

    def close(self) -> None:
        """End."""
        self.is_open = False

    def drop_after_fork(self) -> None:
        """Take a note."""
        self.is_dropped = True


class Rig:
    """A pool, and all transports that it made."""

    def __init__(self, most: int = 2, heartbeat: float = 1000.0, patience: float = 5.0) -> None:
        """Begin without a connection."""
        self.wires: list[Wire] = []
        self.answer: Callable[[bytes], bytes] = bytes.upper
        self.is_there = True
        self.heartbeat = heartbeat
        self.protection = Protection("1197", 0, None, patience, local=True)
        self.pool = Pool(self.connect, self.protection, most, patience)

    def connect(self) -> Connection:
        """Make a connection."""
        if not self.is_there:
            raise NotSentError("nobody listens")
        self.wires.append(Wire(lambda payload: self.answer(payload)))  # noqa: PLW0108 - it may change
        return Connection(self.wires[-1], self.heartbeat, self.protection.epoch)


def _code(call: Callable[..., object], *arguments: object) -> int:
    with pytest.raises(CryptokiError) as caught:
        call(*arguments)
    return caught.value.code


def test_calls_after_each_other_share_a_connection() -> None:
    """One is enough for one thread."""
    rig = Rig()
    assert [b"A", b"B"] == [rig.pool.exchange(b"a"), rig.pool.exchange(b"b")]
    assert [[b"a", b"b"]] == [wire.asked for wire in rig.wires]


def test_calls_at_once_have_a_connection_each_up_to_the_most() -> None:
    """The third of three waits for one of two, and gets it as soon as it is free."""
    rig = Rig(most=2)
    inside, go_on = threading.Semaphore(0), threading.Event()

    def answer(payload: bytes) -> bytes:
        inside.release()
        assert go_on.wait(10)
        return payload

    rig.answer = answer
    replies: list[bytes] = []
    work = [lambda name=name: replies.append(rig.pool.exchange(name)) for name in (b"1", b"2", b"3")]
    threads = [threading.Thread(target=each) for each in work]
    for thread in threads:
        thread.start()
    assert [True, True] == [inside.acquire(timeout=10) for _ in range(2)]
    assert not inside.acquire(blocking=False)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert [b"1", b"2", b"3"] == sorted(replies)
    assert 2 == len(rig.wires)


def test_no_connection_in_time_is_device_error() -> None:
    """Who waits too long is told; the call was not sent."""
    rig = Rig(most=1, patience=0.05)
    inside, go_on = threading.Event(), threading.Event()

    def answer(payload: bytes) -> bytes:
        inside.set()
        assert go_on.wait(10)
        return payload

    rig.answer = answer
    thread = threading.Thread(target=rig.pool.exchange, args=(b"first",))
    thread.start()
    assert inside.wait(10)
    assert CKR.DEVICE_ERROR == _code(rig.pool.exchange, b"second")
    go_on.set()
    thread.join(10)
    assert [[b"first"]] == [wire.asked for wire in rig.wires]
    assert b"third" == rig.pool.exchange(b"third")


def test_many_threads_on_few_connections_get_their_own_answers() -> None:
    """Nobody waits for ever, and no answer goes to another call."""
    rig = Rig(most=2)
    wrong: list[object] = []

    def work(name: int) -> None:
        for turn in range(200):
            text = b"%d-%d" % (name, turn)
            if rig.pool.exchange(text) != text:
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [False] * 8 == [thread.is_alive() for thread in threads]
    assert [] == wrong
    assert len(rig.wires) <= 2


def test_call_that_was_not_sent_goes_on_another_connection() -> None:
    """A connection that ended while it was idle is not noticed by the caller."""
    rig = Rig()
    rig.pool.exchange(b"a")
    rig.wires[0].is_open = False
    assert b"B" == rig.pool.exchange(b"b")
    assert [[b"a"], [b"b"]] == [wire.asked for wire in rig.wires]


def test_unreachable_hsm_is_device_removed_and_may_come_back() -> None:
    """A new connection that cannot be made is not tried for ever."""
    rig = Rig(most=1)
    rig.pool.exchange(b"a")
    rig.wires[0].is_open, rig.is_there = False, False
    assert [CKR.DEVICE_REMOVED] * 3 == [_code(rig.pool.exchange, b"b") for _ in range(3)]
    rig.is_there = True
    assert b"C" == rig.pool.exchange(b"c")


def test_call_whose_answer_is_lost_is_not_sent_again() -> None:
    """It may have been carried out: CKR_DEVICE_ERROR, and the connection is given up."""
    rig = Rig()
    rig.pool.exchange(b"a")

    def lose(_: bytes) -> bytes:
        raise CryptokiError(CKR.DEVICE_ERROR, "lost")

    rig.answer = lose
    assert CKR.DEVICE_ERROR == _code(rig.pool.exchange, b"b")
    rig.answer = bytes.upper
    assert b"C" == rig.pool.exchange(b"c")
    assert [[b"a", b"b"], [b"c"]] == [wire.asked for wire in rig.wires]
    assert [False, True] == [wire.is_open for wire in rig.wires]


@pytest.mark.parametrize(
    ("frame", "code"), [(clear(REFUSED, bytes(8)), CKR.SMS_ERROR), (b"nonsense", CKR.BAD_REPLY), (b"", CKR.BAD_REPLY)]
)
def test_answer_that_is_no_reply_ends_the_connection(frame: bytes, code: int) -> None:
    """Arbitrary bytes are a refusal of their own, and the next call begins anew."""
    rig = Rig()
    rig.pool.exchange(b"a")
    rig.wires[0].exchange = lambda *_: frame  # type: ignore[method-assign]
    assert code == _code(rig.pool.exchange, b"b")
    assert b"C" == rig.pool.exchange(b"c")
    assert [False, True] == [wire.is_open for wire in rig.wires]


def test_silent_connection_is_tried_before_it_is_used() -> None:
    """After the heartbeat's time an empty request goes first, with the shorter time-out."""
    rig = Rig(heartbeat=0.0)
    rig.pool.exchange(b"a")
    rig.pool.exchange(b"b")
    assert [b"a", b"", b"b"] == rig.wires[0].asked
    assert [None, rig.protection.patience, None] == rig.wires[0].limits


def test_connection_without_a_heartbeat_is_given_up_before_the_call_is_sent() -> None:
    """The call then has another connection, and nothing is lost."""
    rig = Rig(heartbeat=0.0)
    rig.pool.exchange(b"a")

    def dead(payload: bytes) -> bytes:
        if not payload:
            raise CryptokiError(CKR.DEVICE_ERROR, "no answer in time")
        return payload

    rig.answer = dead
    assert b"b" == rig.pool.exchange(b"b")
    assert [[b"a", b""], [b"b"]] == [wire.asked for wire in rig.wires]


def test_what_comes_unasked_ends_the_connection() -> None:
    """An HSM that begins to speak is not asked anything on this connection."""
    rig = Rig()
    rig.pool.exchange(b"a")
    rig.wires[0].unasked = clear(PLAIN_REPLY, b"for the next request")
    assert b"B" == rig.pool.exchange(b"b")
    assert [[b"a"], [b"b"]] == [wire.asked for wire in rig.wires]


def test_session_of_an_application_that_ended_is_not_spoken_of() -> None:
    """CKR_DEVICE_RESET before anything is sent: its number may be another session's there."""
    rig = Rig()
    opened = Opened(0, None, 0)
    rig.pool.exchange(b"open", opened)
    opened.binding = b"binding"
    assert b"WORK" == rig.pool.exchange(b"work", opened)
    rig.protection.reset(opened.epoch)
    assert CKR.DEVICE_RESET == _code(rig.pool.exchange, b"work", opened)
    assert [b"open", b"work"] == [payload for wire in rig.wires for payload in wire.asked]


def test_unknown_group_begins_a_new_application_only_after_a_first_answer() -> None:
    """Two connections that are made at once are both new to the server, and of one application."""
    protection = Protection("1197", 0, None, 5, local=False)
    first, second = protection.answered, protection.answered
    assert [0, 0] == [protection.connected(known=False, answered=answered) for answered in (first, second)]
    protection.is_begun = True
    third, fourth = protection.answered, protection.answered
    assert [1, 1] == [protection.connected(known=False, answered=answered) for answered in (third, fourth)]
    assert 1 == protection.connected(known=True, answered=protection.answered)


def test_session_without_a_channel_is_not_spoken_of_where_there_must_be_one() -> None:
    """A connection that lacks its channel sends no request of a session, whatever the reason is."""
    rig = Rig()
    opened = Opened(0, None, 0)
    rig.pool.exchange(b"open", opened)
    opened.binding = b"binding"
    rig.protection.policy = 4
    assert CKR.BAD_PROTECTION == _code(rig.pool.exchange, b"secret", opened)
    assert [b"open"] == rig.wires[0].asked


def test_close_says_the_last_words_and_ends_all() -> None:
    """Nothing is sent after it."""
    rig = Rig()
    rig.pool.exchange(b"a")
    rig.pool.close([b"last"])
    assert ([b"a", b"last"], False) == (rig.wires[0].asked, rig.wires[0].is_open)
    assert CKR.DEVICE_REMOVED == _code(rig.pool.exchange, b"b")
    assert 1 == len(rig.wires)


def test_close_wakes_who_waits_for_an_answer() -> None:
    """Connections that are in use are interrupted; only who uses one closes it, and no other thread under his feet."""
    rig = Rig()
    inside, go_on = threading.Event(), threading.Event()

    def answer(payload: bytes) -> bytes:
        inside.set()
        assert go_on.wait(10)
        return payload

    rig.answer = answer
    thread = threading.Thread(target=rig.pool.exchange, args=(b"a",))
    thread.start()
    assert inside.wait(10)
    rig.pool.close()
    assert (True, True) == (rig.wires[0].is_interrupted, rig.wires[0].is_open)
    go_on.set()
    thread.join(10)
    assert not rig.wires[0].is_open


def test_close_wakes_all_who_wait_for_a_connection() -> None:
    """CKR_DEVICE_REMOVED for each of them, though the one connection is never given back."""
    rig = Rig(most=1, patience=60.0)
    inside, go_on = threading.Event(), threading.Event()

    def answer(payload: bytes) -> bytes:
        inside.set()
        assert go_on.wait(20)
        return payload

    rig.answer = answer
    user = threading.Thread(target=rig.pool.exchange, args=(b"a",))
    user.start()
    assert inside.wait(10)
    codes: list[int] = []
    waiting = [threading.Thread(target=lambda: codes.append(_code(rig.pool.exchange, b"b"))) for _ in range(3)]
    for thread in waiting:
        thread.start()
    wait_for(lambda: 3 == len(rig.pool._waiting), "three that wait")
    rig.pool.close()
    for thread in waiting:
        thread.join(10)
    assert [CKR.DEVICE_REMOVED] * 3 == codes
    go_on.set()
    user.join(10)


def test_child_of_a_fork_says_nothing_on_the_parents_connections() -> None:
    """They are dropped, those in use as well."""
    rig = Rig()
    rig.pool.exchange(b"a")
    rig.pool.drop_after_fork()
    assert ([b"a"], True, True) == (rig.wires[0].asked, rig.wires[0].is_open, rig.wires[0].is_dropped)
    assert CKR.DEVICE_REMOVED == _code(rig.pool.exchange, b"b")


def test_interrupted_exchange_gives_the_connection_up() -> None:
    """After a Ctrl-C nobody knows whose answer the next bytes are."""
    rig = Rig()
    rig.pool.exchange(b"a")

    def interrupt(_: bytes) -> bytes:
        raise KeyboardInterrupt

    rig.answer = interrupt
    with pytest.raises(KeyboardInterrupt):
        rig.pool.exchange(b"b")
    rig.answer = bytes.upper
    assert b"C" == rig.pool.exchange(b"c")
    assert [False, True] == [wire.is_open for wire in rig.wires]


class End:
    """The HSM's end in the same process, as the test wants it."""

    def __init__(self, *answers: bytes | PeerError, farewell: bytes = b"") -> None:
        """Answer with these, one after the other."""
        self.answers = list(answers)
        self.farewell = farewell
        self.is_closed = False

    def answer(self, _: bytes) -> bytes:
        """Answer with the next one."""
        found = self.answers.pop(0)
        if isinstance(found, PeerError):
            raise found
        return found

    def close(self) -> None:
        """End."""
        self.is_closed = True


def test_direct_transport_is_over_when_the_hsm_says_so() -> None:
    """A farewell is delivered; an end without one loses the answer; no answer means that nothing was done."""
    end = End(PeerError("broken"), farewell=b"farewell")
    assert b"farewell" == DirectTransport(end).exchange(b"frame")
    assert end.is_closed
    assert CKR.DEVICE_ERROR == _code(DirectTransport(End(PeerError("broken"))).exchange, b"frame")
    transport = DirectTransport(End(b"answer", b""))
    assert b"answer" == transport.exchange(b"frame")
    assert [CKR.DEVICE_REMOVED] * 2 == [_code(transport.exchange, b"frame"), _code(transport.exchange, b"frame")]
    with pytest.raises(NotSentError):
        transport.pending()
