"""The codec, and a device behind it: every command of the table crosses the wire and comes back the same."""

import tracemalloc
from collections import namedtuple
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptkc.client.remote import EncodedDevice
from ptkc.hsm.calls import answer
from ptkc.spec import layouts, parameters
from ptkc.spec.constants import CKA, CKM, CKR
from ptkc.spec.errors import BufferTooSmallError, CryptokiError, PeerError
from ptkc.wire import codec
from ptkc.wire.commands import BY_NAME, COMMANDS, Device
from ptkc.wire.reader import HEAD

CROSSING = [command for command in COMMANDS if not command.library]

ULONG = st.integers(0, 2**64 - 1)
BLOB = st.binary(max_size=40)
HANDLES = st.lists(ULONG, max_size=5).map(tuple)
MECHANISM = st.one_of(
    st.none(),
    st.tuples(ULONG, st.one_of(st.none(), st.binary(min_size=1, max_size=16), st.just(parameters.MALFORMED))),
    st.tuples(st.just(int(CKM.AES_GCM)), st.builds(layouts.Gcm, BLOB, ULONG, BLOB, ULONG)),
    st.tuples(st.just(int(CKM.AES_CTR)), st.builds(layouts.Ctr, ULONG, st.binary(min_size=16, max_size=16))),
    st.tuples(st.just(int(CKM.EDDSA)), st.builds(layouts.Eddsa, st.booleans(), BLOB)),
    st.tuples(st.just(int(CKM.RSA_PKCS_OAEP)), st.builds(layouts.Oaep, ULONG, ULONG, ULONG, BLOB)),
)
IN = {
    "session": ULONG,
    "handle": ULONG,
    "ulong": ULONG,
    "boolean": st.booleans(),
    "bytes": BLOB,
    "label": st.binary(min_size=32, max_size=32),
    "name": BLOB,
    "made": st.none()
    | st.builds(layouts.GcmMessage, BLOB, ULONG, ULONG, ULONG, ULONG)
    | st.builds(layouts.ChaChaMessage, BLOB, ULONG),
    "given": st.none()
    | st.builds(layouts.CcmMessage, ULONG, BLOB, ULONG, ULONG, BLOB, ULONG)
    | st.builds(layouts.ChaChaMessage, BLOB, BLOB),
    "sealing": st.none()
    | st.tuples(ULONG, st.none() | st.builds(layouts.GcmMessage, BLOB, ULONG, ULONG, ULONG, ULONG)),
    "opening": st.none() | st.tuples(ULONG, st.none() | st.builds(layouts.ChaChaMessage, BLOB, BLOB)),
    "secret": st.none() | BLOB,
    "last": st.none() | BLOB,
    "mechanism": MECHANISM,
    "template": st.lists(st.tuples(ULONG, st.none() | BLOB), max_size=4).map(tuple),
    "types": HANDLES,
}
ASKED = {
    "buffer": st.none() | ULONG,
    "last_buffer": st.sampled_from((None, False)) | ULONG,
    "fill": st.integers(0, codec.LARGEST),
    "found": ULONG,
    "ulong_in": ULONG,
}


def _fixed(*sizes):
    return st.tuples(*(ULONG if size == 0 else st.binary(min_size=size, max_size=size) for size in sizes))


OUT = {
    "ulong": ULONG,
    "buffer": ULONG | BLOB,
    "last_buffer": ULONG | BLOB,
    "fill": BLOB,
    "list": HANDLES,
    "slots": HANDLES,
    "found": HANDLES,
    "written": st.lists(ULONG | BLOB, max_size=4).map(tuple),
    "values": st.tuples(ULONG, st.lists(st.none() | BLOB, max_size=4).map(tuple)),
    "slot_info": _fixed(64, 32, 0, 2, 2),
    "token_info": _fixed(32, 32, 16, 16, *[0] * 11, 2, 2, 16),
    "session_info": _fixed(0, 0, 0, 0),
    "mechanism_info": _fixed(0, 0, 0),
    "async_data": st.tuples(ULONG, ULONG),
}


def _kinds(fields):
    return [field.rpartition(":")[2] for field in fields]


def arguments_of(command):
    """Return a strategy for a command's arguments, `room` and the like in their places."""
    asked = [ASKED[kind] for kind in _kinds(command.outputs) if kind in ASKED]
    return st.tuples(*(IN[kind] for kind in _kinds(command.inputs) if kind in IN), *asked)


def result_of(command):
    """Return a strategy for a command's result."""
    fields = [OUT[kind] for kind in _kinds(command.outputs) if kind in OUT]
    return st.none() if not fields else fields[0] if len(fields) == 1 else st.tuples(*fields)


@pytest.mark.parametrize("command", CROSSING, ids=lambda command: command.name)
@given(data=st.data())
def test_request_comes_back_the_same(command, data):
    """decode(encode(request)) == request for every row."""
    arguments = data.draw(arguments_of(command))
    assert (command, arguments) == codec.decode_request(codec.encode_request(command, arguments))


@pytest.mark.parametrize("command", CROSSING, ids=lambda command: command.name)
@given(data=st.data())
def test_reply_comes_back_the_same(command, data):
    """decode(encode(reply)) == reply for every row."""
    result = data.draw(result_of(command))
    assert result == codec.decode_reply(command, codec.encode_reply(command, result))


@given(code=st.integers(1, 2**64 - 1).filter(lambda code: code != CKR.BUFFER_TOO_SMALL), reason=st.text(max_size=50))
def test_refusal_comes_back_the_same(code, reason):
    """A CryptokiError keeps its code and reason."""
    reply = codec.encode_reply(BY_NAME["C_Sign"], CryptokiError(code, reason))
    with pytest.raises(CryptokiError) as caught:
        codec.decode_reply(BY_NAME["C_Sign"], reply)
    assert (code, reason.encode("utf-8", "backslashreplace").decode()) == (caught.value.code, caught.value.message)


def test_buffer_too_small_keeps_the_length():
    """CKR_BUFFER_TOO_SMALL carries the length that is needed."""
    with pytest.raises(BufferTooSmallError) as caught:
        codec.decode_reply(BY_NAME["C_Sign"], codec.encode_reply(BY_NAME["C_Sign"], BufferTooSmallError(72)))
    assert 72 == caught.value.length


@given(request=st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_peer_error(request):
    """No matter what arrives: it is a command, or it is refused as such."""
    _decode_request(request)


@given(number=st.integers(0, 120), body=st.binary(max_size=200))
def test_any_body_behind_a_right_head_is_a_request_or_a_peer_error(number, body):
    """The same with a head that fits, so that the fields are reached."""
    _decode_request(HEAD.pack(codec.VERSION, 0, number) + body)


@given(data=st.data())
def test_damaged_request_is_another_request_or_a_peer_error(data):
    """One byte changed, added or taken away."""
    command = data.draw(st.sampled_from(CROSSING))
    request = bytearray(codec.encode_request(command, data.draw(arguments_of(command))))
    place = data.draw(st.integers(0, len(request) - 1))
    request[place : place + data.draw(st.integers(0, 1))] = data.draw(st.binary(max_size=1))
    _decode_request(bytes(request))


def _decode_request(request):
    try:
        command, arguments = codec.decode_request(request)
    except PeerError:
        return
    assert request == codec.encode_request(command, arguments)


@given(number=st.integers(0, 120), code=st.sampled_from([0, CKR.BUFFER_TOO_SMALL, 5]), body=st.binary(max_size=200))
def test_any_bytes_are_a_reply_or_a_peer_error(number, code, body):
    """The client holds its HSM to the same rule."""
    reply = HEAD.pack(codec.VERSION, 1, number) + code.to_bytes(8, "little") + body
    for candidate in (reply, body):
        with suppress(PeerError, CryptokiError):
            codec.decode_reply(CROSSING[number % len(CROSSING)], candidate)


def test_count_without_its_items_allocates_nothing():
    """A template of 2^60 entries in 40 bytes is refused before any list is made."""
    head = HEAD.pack(codec.VERSION, 0, BY_NAME["C_FindObjectsInit"].number)
    with pytest.raises(PeerError):
        codec.decode_request(head + bytes(8) + (2**60).to_bytes(8, "little") + bytes(32))


@pytest.mark.parametrize(
    ("name", "arguments", "item"),
    [("C_FindObjectsInit", (1, ((0, None),) * (1 << 16)), 9), ("C_GetAttributeValue", (1, 2, (0,) * (1 << 16)), 8)],
)
def test_attributes_of_a_request_are_limited(name, arguments, item):
    """In memory they are many times what they are on the wire: 65,536 go, one more is refused at both ends."""
    command = BY_NAME[name]
    request = codec.encode_request(command, arguments)
    assert arguments == codec.decode_request(request)[1]
    start = len(request) - (item << 16) - 8
    more = request[:start] + ((1 << 16) + 1).to_bytes(8, "little") + request[start + 8 :] + bytes(item)
    with pytest.raises(PeerError):
        codec.decode_request(more)
    *others, last = arguments
    with pytest.raises(CryptokiError) as refused:
        codec.encode_request(command, (*others, last + last[:1]))
    assert CKR.ARGUMENTS_BAD == refused.value.code


@pytest.mark.parametrize(
    ("name", "before", "most", "item"),
    [("C_GetAttributeValue", 8, 1 << 16, 1), ("C_FindObjects", 0, 1 << 20, 8), ("C_GenerateKey", 8, 1 << 16, 9)],
)
def test_items_of_a_reply_are_limited(name, before, most, item):
    """A server cannot have its client make millions of objects of the zeros in one message."""
    command = BY_NAME[name]
    for count in (most, most + 1):
        body = bytes(8 + before) + count.to_bytes(8, "little") + bytes(count * item)
        reply = HEAD.pack(codec.VERSION, 1, command.number) + body
        if count == most:
            codec.decode_reply(command, reply)
        else:
            with pytest.raises(PeerError, match="are the most"):
                codec.decode_reply(command, reply)


def test_handles_of_a_reply_are_limited():
    """Who answers keeps to what the other end takes: CKR_DEVICE_MEMORY for more than 1,048,576 handles at once."""
    with pytest.raises(CryptokiError) as refused:
        codec.encode_reply(BY_NAME["C_FindObjects"], (0,) * ((1 << 20) + 1))
    assert CKR.DEVICE_MEMORY == refused.value.code


def test_request_for_too_many_random_bytes_is_refused():
    """What is asked for is limited as the message is."""
    command = BY_NAME["C_GenerateRandom"]
    with pytest.raises(PeerError):
        codec.decode_request(codec.encode_request(command, (1, codec.LARGEST + 1)))


def test_reply_that_is_too_long_is_refused_before_it_is_made():
    """One value of 1 MiB asked for 300 times: CKR_DEVICE_MEMORY, and not a second MiB is taken to find that out."""
    command, value = BY_NAME["C_GetAttributeValue"], bytes(1 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(CryptokiError) as refused:
            codec.encode_reply(command, (CKR.OK, (value,) * 300))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert CKR.DEVICE_MEMORY == refused.value.code
    assert most < len(value)


class Recorded:
    """A device that keeps what it was called with and answers `result`."""

    result = None

    def __getattr__(self, name):
        def method(*arguments):
            self.called = (name, arguments)
            if isinstance(self.result, Exception):
                raise self.result
            return self.result

        return method


Pair = namedtuple("Pair", "device remote")


@pytest.fixture(scope="module")
def pair():
    """Return a recorded device and the remote device that reaches it."""
    device = Recorded()
    return Pair(device, EncodedDevice(partial(answer, device)))


@pytest.mark.parametrize("command", CROSSING, ids=lambda command: command.name)
@given(data=st.data())
def test_remote_device_has_every_command(pair, command, data):
    """A call on the remote device is the same call on the device, and its result comes back."""
    arguments = data.draw(arguments_of(command))
    pair.device.result = CryptokiError(CKR.USER_NOT_LOGGED_IN, "reason")
    with pytest.raises(CryptokiError, match="reason"):
        getattr(pair.remote, command.method)(*arguments)
    assert (command.method, arguments) == pair.device.called


def test_bug_of_a_device_is_general_error(pair):
    """Whatever a device raises, the client sees a CK_RV and nothing of the message."""
    pair.device.result = ZeroDivisionError("secret")
    with pytest.raises(CryptokiError) as caught:
        pair.remote.sign(1, b"data", None)
    assert CKR.GENERAL_ERROR == caught.value.code
    assert "secret" not in str(caught.value)


def test_result_that_is_none_of_the_table_is_general_error(pair):
    """A device whose method returns what its row does not say is a bug too."""
    pair.device.result = object()
    with pytest.raises(CryptokiError) as caught:
        pair.remote.sign(1, b"data", None)
    assert CKR.GENERAL_ERROR == caught.value.code


def test_command_a_device_lacks_is_not_supported():
    """A method that is not there answers CKR_FUNCTION_NOT_SUPPORTED."""
    remote = EncodedDevice(partial(answer, Device()))
    with pytest.raises(CryptokiError) as caught:
        remote.sign(1, b"data", None)
    assert CKR.FUNCTION_NOT_SUPPORTED == caught.value.code


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("C_Sign", (1, b"", 10), bytes(11)),
        ("C_Sign", (1, b"", None), bytes(11)),
        ("C_Sign", (1, b"", 10), 5),
        ("C_EncryptMessageNext", (1, None, b"", 10, 0), (bytes(11), ())),
        ("C_EncapsulateKey", (1, None, 1, (), 10), (bytes(11), 1, ())),
        ("CT_FetchCertificate", (CKA.LOCAL_IDENTITY_CERT, 10), bytes(11)),
        ("C_GenerateRandom", (1, 10), bytes(11)),
        ("C_FindObjects", (1, 1), (1, 2)),
        ("C_GetAttributeValue", (1, 1, (1,)), (0, (b"", b""))),
    ],
)
def test_reply_that_does_not_fit_the_request_is_the_last(name, arguments, result):
    """An HSM cannot make the library write beyond the application's buffers."""
    command = BY_NAME[name]
    remote = EncodedDevice(lambda _: codec.encode_reply(command, result))
    with pytest.raises(CryptokiError) as caught:
        remote.call(command, arguments)
    assert CKR.DEVICE_ERROR == caught.value.code
    with pytest.raises(CryptokiError, match="what is no reply") as caught:
        remote.call(command, arguments)
    assert CKR.DEVICE_ERROR == caught.value.code
