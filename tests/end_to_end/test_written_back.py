"""What a parameter names is written back: after success only, all of it, in each way to reach an HSM."""

from __future__ import annotations

from collections.abc import Iterator

import pkcs11
import pytest
from conformance.binding import ffi
from conformance.cryptoki import NULL, Cryptoki, Session, Template, expect
from conformance.derivations import counter, kbkdf
from conformance.messages import Gcm, message
from conformance.parameters import Mechanism
from tokens import Initialised

from ptkc.spec.constants import CK, CKA, CKG, CKK, CKM, CKO, CKR

_UNTOUCHED = 2**40  # what stands in the places of handles before


@pytest.fixture
def session(library: pkcs11.lib, prepared: Initialised) -> Iterator[Session]:
    """Return a session in which the user is logged in."""
    assert library
    cryptoki = Cryptoki(prepared.path)
    slot = cryptoki.find_slot(prepared.label)
    opened = cryptoki.open(slot)
    opened.login(prepared.pin)
    yield opened
    cryptoki.close_all(slot)


def aes(session: Session) -> int:
    """Return an AES key."""
    return session.generate(
        Mechanism(CKM.AES_KEY_GEN), {CKA.VALUE_LEN: 32, **dict.fromkeys((CKA.ENCRYPT, CKA.DECRYPT, CKA.DERIVE), True)}
    )


def test_iv_and_tag_of_a_message_are_written(session: Session) -> None:
    """A length query and too little room write neither; success writes both, and what was written decrypts."""
    key = aes(session)
    session.call("C_MessageEncryptInit", Mechanism(CKM.AES_GCM).pointer, key)
    made = Gcm(b"fix." + bytes(8), fixed=32, generator=CKG.GENERATE_COUNTER)
    size, small = ffi.new("CK_ULONG *"), ffi.new("CK_BYTE[8]")
    session.call("C_EncryptMessage", *made.pair, NULL, 0, b"plain text", 10, NULL, size)
    assert 10 == size[0]
    size[0] = 8
    expect(
        CKR.BUFFER_TOO_SMALL, session.call, "C_EncryptMessage", *made.pair, NULL, 0, b"plain text", 10, small, size
    )
    assert (b"fix." + bytes(8), bytes(16)) == (made.iv, made.tag)
    first = message(session, "Encrypt", made, b"plain text", b"header")
    assert made.iv.startswith(b"fix.")
    assert bytes(16) != made.tag
    again = Gcm(b"fix." + bytes(8), fixed=32, generator=CKG.GENERATE_COUNTER)
    assert first != message(session, "Encrypt", again, b"plain text", b"header")
    assert made.iv != again.iv
    session.call("C_MessageEncryptFinal")
    session.call("C_MessageDecryptInit", Mechanism(CKM.AES_GCM).pointer, key)
    assert b"plain text" == message(session, "Decrypt", Gcm(made.iv, made.tag), first, b"header")
    wrong = Gcm(made.iv, bytes(16))
    expect(CKR.AEAD_DECRYPT_FAILED, message, session, "Decrypt", wrong, first, b"header")
    assert (made.iv, bytes(16)) == (wrong.iv, wrong.tag)


def test_handles_of_further_keys_are_written(session: Session) -> None:
    """All keys of a derivation or none: a wrong further template makes no key and writes no handle."""
    key = aes(session)
    fields = [counter(CK.SP800_108_ITERATION_VARIABLE, 32), (CK.SP800_108_BYTE_ARRAY, b"label")]
    template = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.VALUE_LEN: 16, CKA.LABEL: "derived"}
    mechanism, handles = kbkdf(CKM.SP800_108_COUNTER_KDF, CKM.AES_CMAC, fields, further=(template, template))
    first = session.derive(mechanism, key, template)
    assert 3 == len({first, *handles})
    assert {first, *handles} == set(session.find({CKA.LABEL: "derived"}))
    session.destroy(first, *handles)
    bad = {**template, CKA.VALUE_LEN: 17}
    mechanism, handles = kbkdf(CKM.SP800_108_COUNTER_KDF, CKM.AES_CMAC, fields, further=(template, bad))
    given, place = Template(template), ffi.new("CK_ULONG *", _UNTOUCHED)
    codes = CKR.ATTRIBUTE_VALUE_INVALID, CKR.KEY_SIZE_RANGE, CKR.TEMPLATE_INCONSISTENT
    expect(codes, session.call, "C_DeriveKey", mechanism.pointer, key, given.array, given.count, place)
    assert [_UNTOUCHED] * 3 == [*handles, place[0]]
    assert [] == session.find({CKA.LABEL: "derived"})
