"""C_WrapKey and C_UnwrapKey: AES key wrap, KWP, RSA; what may be wrapped; wrap and unwrap templates."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ptkc.spec.constants import CKA, CKF, CKK, CKM, CKO, CKR, CKU

from .cryptoki import Cryptoki, Session, expect
from .fresh_token import SO_PIN, USER_PIN
from .keys import AES_KEY, aes, generic, import_ec, import_rsa, private_ec, private_rsa
from .parameters import Mechanism, needs, oaep

_WRAP, _KWP = Mechanism(CKM.AES_KEY_WRAP), Mechanism(CKM.AES_KEY_WRAP_KWP)
_VALUE = bytes(range(200, 232))
_NEW: dict[int, Any] = {
    CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.SENSITIVE: False, CKA.EXTRACTABLE: True
}  # fmt: skip
_needs_wrap = pytest.mark.needs(CKM.AES_KEY_WRAP)
_needs_kwp = pytest.mark.needs(CKM.AES_KEY_WRAP_KWP)
_BROKEN = (CKR.WRAPPED_KEY_INVALID, CKR.WRAPPED_KEY_LEN_RANGE)


@pytest.fixture
def wrapping(session: Session) -> int:
    """Give an AES key that wraps and unwraps."""
    return aes(session, WRAP=True, UNWRAP=True)


@_needs_wrap
def test_key_wrap_is_the_one_of_rfc_3394(session: Session, wrapping: int) -> None:
    """The wrapped key is what `cryptography` makes; unwrapped it has its value again."""
    wrapped = session.wrap(_WRAP, wrapping, aes(session, _VALUE))
    assert keywrap.aes_key_wrap(AES_KEY, _VALUE) == wrapped
    assert _VALUE == session.get(session.unwrap(_WRAP, wrapping, wrapped, _NEW), CKA.VALUE)


@pytest.mark.parametrize("name", [needs("AES_KEY_WRAP_KWP"), needs("AES_KEY_WRAP_PAD")])
@pytest.mark.parametrize("length", [1, 16, 21])
def test_key_wrap_with_padding_is_the_one_of_rfc_5649(session: Session, wrapping: int, length: int, name: str) -> None:
    """Secrets of any length can be wrapped with padding; the deprecated mechanism is the same for most modules."""
    mechanism = Mechanism(getattr(CKM, name))
    wrapped = session.wrap(mechanism, wrapping, generic(session, _VALUE[:length]))
    assert keywrap.aes_key_wrap_with_padding(AES_KEY, _VALUE[:length]) == wrapped
    new = session.unwrap(mechanism, wrapping, wrapped, _NEW | {CKA.KEY_TYPE: CKK.GENERIC_SECRET})
    assert _VALUE[:length] == session.get(new, CKA.VALUE)


@_needs_wrap
def test_key_wrap_fills_a_secret_up_with_zeros(session: Session, wrapping: int) -> None:
    """A secret that is no number of 8-byte blocks is padded with zeros, and cut by CKA_VALUE_LEN (6.13.9)."""
    wrapped = session.wrap(_WRAP, wrapping, generic(session, _VALUE[:21]))
    assert keywrap.aes_key_wrap(AES_KEY, _VALUE[:21] + bytes(3)) == wrapped
    new = session.unwrap(_WRAP, wrapping, wrapped, _NEW | {CKA.KEY_TYPE: CKK.GENERIC_SECRET, CKA.VALUE_LEN: 21})
    assert _VALUE[:21] == session.get(new, CKA.VALUE)


@_needs_kwp
def test_private_key_is_wrapped_as_pkcs8(session: Session, wrapping: int) -> None:
    """A private key travels as PrivateKeyInfo (6.7): `cryptography` reads it, the module takes it back."""
    _, key = import_ec(session, private_ec(), None, {CKA.EXTRACTABLE: True, CKA.SENSITIVE: False, CKA.SIGN: True})
    wrapped = session.wrap(_KWP, wrapping, key)
    known = private_ec().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    unwrapped = keywrap.aes_key_unwrap_with_padding(AES_KEY, wrapped)
    secret = private_ec().private_numbers().private_value.to_bytes(32, "big")
    assert secret in unwrapped
    template = {CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: CKK.EC, CKA.SENSITIVE: False, CKA.EXTRACTABLE: True}
    for data in (wrapped, keywrap.aes_key_wrap_with_padding(AES_KEY, known)):
        assert secret == session.get(session.unwrap(_KWP, wrapping, data, template), CKA.VALUE)


@pytest.mark.needs(CKM.AES_CBC_PAD)
def test_private_key_is_wrapped_with_cbc_padding(session: Session, wrapping: int, mechanisms: dict[int, int]) -> None:
    """CKM_AES_CBC_PAD wraps a private key and takes it back, where it has CKF_WRAP."""
    if not mechanisms[CKM.AES_CBC_PAD] & CKF.WRAP:
        return
    mechanism = Mechanism(CKM.AES_CBC_PAD, bytes(16))
    _, key = import_rsa(session, private_rsa(), None, {CKA.EXTRACTABLE: True, CKA.SENSITIVE: False})
    template = {CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: CKK.RSA, CKA.SENSITIVE: False, CKA.EXTRACTABLE: True}
    new = session.unwrap(mechanism, wrapping, session.wrap(mechanism, wrapping, key), template)
    exponent = int.from_bytes(session.get(new, CKA.PRIVATE_EXPONENT), "big")
    assert private_rsa().private_numbers().d == exponent


@pytest.mark.parametrize(
    ("name", "mechanism", "scheme"),
    [
        needs("RSA_PKCS", Mechanism(CKM.RSA_PKCS), padding.PKCS1v15()),
        needs("RSA_PKCS_OAEP", oaep(), padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)),  # noqa: S303
    ],
)
def test_rsa_wraps_secret_keys(session: Session, name: str, mechanism: Mechanism, scheme: Any) -> None:  # noqa: ANN401
    """A secret key wrapped with RSA is its encrypted value."""
    public, private = import_rsa(session, private_rsa(), {CKA.WRAP: True}, {CKA.UNWRAP: True, CKA.DECRYPT: True})
    assert getattr(CKM, name) == mechanism.kind
    wrapped = session.wrap(mechanism, public, aes(session, _VALUE))
    assert _VALUE == private_rsa().decrypt(wrapped, scheme)
    assert _VALUE == session.get(session.unwrap(mechanism, private, wrapped, _NEW), CKA.VALUE)


@_needs_wrap
def test_unwrapped_key_has_no_history(session: Session, wrapping: int) -> None:
    """Not local, neither always-sensitive nor never-extractable, extractable by default (5.18)."""
    wrapped = keywrap.aes_key_wrap(AES_KEY, _VALUE)
    template = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.SENSITIVE: True}
    new = session.unwrap(_WRAP, wrapping, wrapped, template)
    for kind in (CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE):
        assert not session.flag(new, kind)


@_needs_wrap
def test_unwrapped_key_is_extractable_by_default(session: Session, wrapping: int) -> None:
    """Without a word in the template CKA_EXTRACTABLE is true (5.18)."""
    template = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES}
    new = session.unwrap(_WRAP, wrapping, keywrap.aes_key_wrap(AES_KEY, _VALUE), template)
    assert session.flag(new, CKA.EXTRACTABLE)


@_needs_wrap
def test_unextractable_key_is_not_wrapped(session: Session, wrapping: int) -> None:
    """CKA_EXTRACTABLE false: CKR_KEY_UNEXTRACTABLE."""
    key = session.copy(aes(session, _VALUE), {CKA.EXTRACTABLE: False})
    expect(CKR.KEY_UNEXTRACTABLE, session.wrap, _WRAP, wrapping, key)


@_needs_wrap
def test_sensitive_key_is_wrapped(session: Session) -> None:
    """A sensitive key may be wrapped as long as it is extractable, by a sensitive key that only wraps."""
    others = dict.fromkeys(("ENCRYPT", "DECRYPT", "SIGN", "VERIFY", "DERIVE"), False)
    wrapping = aes(session, WRAP=True, UNWRAP=True, SENSITIVE=True, **others)
    key = session.copy(aes(session, _VALUE), {CKA.SENSITIVE: True})
    assert keywrap.aes_key_wrap(AES_KEY, _VALUE) == session.wrap(_WRAP, wrapping, key)


@_needs_wrap
def test_key_without_the_usage_wraps_and_unwraps_nothing(session: Session) -> None:
    """CKA_WRAP and CKA_UNWRAP false: CKR_KEY_FUNCTION_NOT_PERMITTED."""
    key, wrapped = aes(session, WRAP=False, UNWRAP=False), keywrap.aes_key_wrap(AES_KEY, _VALUE)
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.wrap, _WRAP, key, aes(session, _VALUE))
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.unwrap, _WRAP, key, wrapped, _NEW)


@_needs_wrap
@pytest.mark.parametrize("change", ["flipped", "short", "long", "empty"])
def test_broken_wrapped_key_is_refused(session: Session, wrapping: int, change: str) -> None:
    """CKR_WRAPPED_KEY_INVALID or CKR_WRAPPED_KEY_LEN_RANGE, and no key is made."""
    good = keywrap.aes_key_wrap(AES_KEY, _VALUE)
    wrong = {"flipped": bytes([good[0] ^ 1]) + good[1:], "short": good[:-1], "long": good + b"\0", "empty": b""}[change]
    before = len(session.find({CKA.CLASS: CKO.SECRET_KEY}))
    expect(
        (*_BROKEN, CKR.ARGUMENTS_BAD) if change == "empty" else _BROKEN, session.unwrap, _WRAP, wrapping, wrong, _NEW
    )
    assert before == len(session.find({CKA.CLASS: CKO.SECRET_KEY}))


@_needs_kwp
def test_wrapped_bytes_that_are_no_private_key_are_refused(session: Session, wrapping: int) -> None:
    """What is no PrivateKeyInfo does not become a private key: CKR_WRAPPED_KEY_INVALID."""
    wrapped = keywrap.aes_key_wrap_with_padding(AES_KEY, b"\x30\x84\xff\xff\xff\xff garbage")
    template = {CKA.CLASS: CKO.PRIVATE_KEY, CKA.KEY_TYPE: CKK.EC}
    expect(_BROKEN, session.unwrap, _KWP, wrapping, wrapped, template)


@_needs_wrap
def test_unwrapping_needs_class_and_type(session: Session, wrapping: int) -> None:
    """Without CKA_CLASS or CKA_KEY_TYPE: CKR_TEMPLATE_INCOMPLETE (footnotes 1 and 5)."""
    wrapped = keywrap.aes_key_wrap(AES_KEY, _VALUE)
    for missing in (CKA.CLASS, CKA.KEY_TYPE):
        template = {kind: value for kind, value in _NEW.items() if kind != missing}
        expect(CKR.TEMPLATE_INCOMPLETE, session.unwrap, _WRAP, wrapping, wrapped, template)


@_needs_wrap
def test_handles_that_are_no_keys_are_refused(session: Session, wrapping: int) -> None:
    """CKR_WRAPPING_KEY_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID, CKR_UNWRAPPING_KEY_HANDLE_INVALID."""
    nothing = 2**40 + 7
    expect(CKR.WRAPPING_KEY_HANDLE_INVALID, session.wrap, _WRAP, nothing, aes(session))
    expect(CKR.KEY_HANDLE_INVALID, session.wrap, _WRAP, wrapping, nothing)
    expect(CKR.UNWRAPPING_KEY_HANDLE_INVALID, session.unwrap, _WRAP, nothing, bytes(40), _NEW)


@_needs_wrap
def test_key_of_another_type_does_not_wrap(session: Session) -> None:
    """A generic secret is no AES key: CKR_WRAPPING_KEY_TYPE_INCONSISTENT."""
    key = generic(session, AES_KEY, WRAP=True)
    expect(CKR.WRAPPING_KEY_TYPE_INCONSISTENT, session.wrap, _WRAP, key, aes(session, _VALUE))


@_needs_wrap
def test_key_for_trusted_keys_only_is_not_wrapped_by_others(session: Session, wrapping: int) -> None:
    """CKA_WRAP_WITH_TRUSTED needs a wrapping key with CKA_TRUSTED: CKR_KEY_NOT_WRAPPABLE (4.11)."""
    key = session.create({**_NEW, CKA.VALUE: _VALUE, CKA.WRAP_WITH_TRUSTED: True})
    expect(CKR.KEY_NOT_WRAPPABLE, session.wrap, _WRAP, wrapping, key)


def test_wrap_with_trusted_is_final(session: Session) -> None:
    """CKA_WRAP_WITH_TRUSTED true cannot be taken back (footnote 11)."""
    key = session.create({**_NEW, CKA.VALUE: _VALUE, CKA.WRAP_WITH_TRUSTED: True})
    expect((CKR.ATTRIBUTE_READ_ONLY, CKR.TEMPLATE_INCONSISTENT), session.set, key, {CKA.WRAP_WITH_TRUSTED: False})


@_needs_wrap
def test_key_for_trusted_keys_is_wrapped_by_a_trusted_key(cryptoki: Cryptoki, changeable: int) -> None:
    """The SO trusts a public wrapping key; it then wraps what is for trusted keys only (4.11)."""
    session = cryptoki.open(changeable)
    session.login(USER_PIN)
    trusted = session.create(
        {**_NEW, CKA.VALUE: AES_KEY, CKA.WRAP: True, CKA.TOKEN: True, CKA.PRIVATE: False, CKA.LABEL: "trusted"}
    )
    session.logout()
    session.login(SO_PIN, CKU.SO)
    session.set(session.find({CKA.LABEL: "trusted"})[0], {CKA.TRUSTED: True})
    session.logout()
    session.login(USER_PIN)
    trusted = session.find({CKA.LABEL: "trusted"})[0]
    key = session.create({**_NEW, CKA.VALUE: _VALUE, CKA.WRAP_WITH_TRUSTED: True})
    assert keywrap.aes_key_wrap(AES_KEY, _VALUE) == session.wrap(_WRAP, trusted, key)


@_needs_wrap
def test_wrap_template_says_what_may_be_wrapped(session: Session) -> None:
    """A key that does not match CKA_WRAP_TEMPLATE is CKR_KEY_HANDLE_INVALID, a matching one is wrapped (5.18)."""
    template = {**_NEW, CKA.VALUE: AES_KEY, CKA.WRAP: True, CKA.WRAP_TEMPLATE: {CKA.KEY_TYPE: CKK.AES}}
    wrapping = session.create(template)
    assert keywrap.aes_key_wrap(AES_KEY, _VALUE) == session.wrap(_WRAP, wrapping, aes(session, _VALUE))
    expect(CKR.KEY_HANDLE_INVALID, session.wrap, _WRAP, wrapping, generic(session, _VALUE))


@_needs_wrap
def test_unwrap_template_is_added_and_not_contradicted(session: Session) -> None:
    """CKA_UNWRAP_TEMPLATE marks what is unwrapped; a template against it is CKR_TEMPLATE_INCONSISTENT (5.18)."""
    forced = {CKA.LABEL: "unwrapped", CKA.ENCRYPT: False}
    key = session.create({**_NEW, CKA.VALUE: AES_KEY, CKA.UNWRAP: True, CKA.UNWRAP_TEMPLATE: forced})
    wrapped = keywrap.aes_key_wrap(AES_KEY, _VALUE)
    new = session.unwrap(_WRAP, key, wrapped, _NEW)
    assert (b"unwrapped", False) == (session.get(new, CKA.LABEL), session.flag(new, CKA.ENCRYPT))
    expect(CKR.TEMPLATE_INCONSISTENT, session.unwrap, _WRAP, key, wrapped, {**_NEW, CKA.ENCRYPT: True})
