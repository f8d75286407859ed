"""Sealing at rest: key separation, what is bound to what, and search terms."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from ptkc.spec.constants import CKA, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.token.seal import PrivateKeys, PublicKeys, expand, seal, unseal

ROOT = bytes(range(32))


def test_expand_is_hkdf_expand() -> None:
    """Keys are what RFC 5869 gives, computed by another implementation."""
    assert HKDFExpand(SHA256(), 32, b"purpose").derive(ROOT) == expand(ROOT, b"purpose")


def test_sealed_content_opens_with_key_and_associated_data_only() -> None:
    """Another key, other associated data or a flipped bit give nothing."""
    sealed = seal(ROOT, b"content", b"place")
    assert b"content" == unseal(ROOT, sealed, b"place")
    assert unseal(bytes(32), sealed, b"place") is None
    assert unseal(ROOT, sealed, b"elsewhere") is None
    assert unseal(ROOT, sealed[:-1] + bytes([sealed[-1] ^ 1]), b"place") is None
    assert unseal(ROOT, b"", b"place") is None


def test_sealing_twice_gives_different_bytes() -> None:
    """Nonces are fresh."""
    assert seal(ROOT, b"content", b"") != seal(ROOT, b"content", b"")


@pytest.mark.parametrize("keys", [PrivateKeys(ROOT), PublicKeys(ROOT, b"serial")], ids=["private", "public"])
def test_a_record_that_was_changed_or_moved_is_refused(keys: PrivateKeys | PublicKeys) -> None:
    """CKR_DEVICE_ERROR if content or place is another."""
    for secret in (True, False):
        stored = keys.protect(b"content", b"place", secret=secret)
        assert b"content" == keys.recover(stored, b"place")
        for wrong, place in (
            (stored, b"other"), (stored[:-1] + b"?", b"place"), (stored[:5], b"place"), (b"", b"place"),
        ):  # fmt: skip
            with pytest.raises(CryptokiError) as refused:
                keys.recover(wrong, place)
            assert CKR.DEVICE_ERROR == refused.value.code


def test_private_content_is_not_readable_and_public_content_is() -> None:
    """Confidentiality for private objects and for keys, authenticity for all."""
    assert b"content" not in PrivateKeys(ROOT).protect(b"content", b"", secret=False)
    assert b"content" not in PublicKeys(ROOT, b"serial").protect(b"content", b"", secret=True)
    assert b"content" in PublicKeys(ROOT, b"serial").protect(b"content", b"", secret=False)


def test_terms_differ_by_attribute_value_token_and_side() -> None:
    """Equal values of different attributes, tokens or sides cannot be told to be equal."""
    terms = {
        PrivateKeys(ROOT).term(CKA.LABEL, b"a"),
        PrivateKeys(ROOT).term(CKA.ID, b"a"),
        PrivateKeys(ROOT).term(CKA.LABEL, b"b"),
        PrivateKeys(bytes(32)).term(CKA.LABEL, b"a"),
        PublicKeys(ROOT, b"one").term(CKA.LABEL, b"a"),
        PublicKeys(ROOT, b"two").term(CKA.LABEL, b"a"),
    }
    assert 6 == len(terms)
    assert PrivateKeys(ROOT).term(CKA.LABEL, b"a") in terms
