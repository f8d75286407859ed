"""Bytes that are derived and are no key of the type that the template names: refused as such a value is."""

from __future__ import annotations

import pytest

from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR

from .cryptoki import Session, expect
from .derivations import key_data
from .keys import aes

_XTS = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES_XTS}


@pytest.mark.needs(CKM.AES_ECB_ENCRYPT_DATA, CKM.AES_XTS)
def test_derived_halves_that_are_the_same_are_no_xts_key(session: Session) -> None:
    """C_DeriveKey says so with the code of C_CreateObject: there is no wrapped key that it could speak of."""
    mechanism, base = key_data(CKM.AES_ECB_ENCRYPT_DATA, bytes(32)), aes(session, DERIVE=True)
    expect(CKR.ATTRIBUTE_VALUE_INVALID, session.create, {**_XTS, CKA.VALUE: bytes(32)})
    expect(CKR.ATTRIBUTE_VALUE_INVALID, session.derive, mechanism, base, {**_XTS, CKA.VALUE_LEN: 32})
