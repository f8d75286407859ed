"""Wycheproof's vectors of AEAD ciphers as messages: encrypted and decrypted whole and in parts, wrong ones refused."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR

from .cryptoki import Session, expect
from .messages import Ccm, ChaCha, Gcm, MessageParameter, decrypt_parts, encrypt_parts, message
from .parameters import Mechanism, needs

_FILES = Path(__file__).resolve().parents[1] / "vectors" / "wycheproof"
_LONGEST_IV = 128
_CODES = (CKR.AEAD_DECRYPT_FAILED, CKR.ENCRYPTED_DATA_LEN_RANGE, CKR.MECHANISM_PARAM_INVALID)
pytestmark = pytest.mark.needs_function("C_MessageEncryptInit")

Make = Callable[[dict[str, Any], bytes | int], MessageParameter]


def _hex(value: str) -> bytes:
    return bytes.fromhex(value)


_CASES = [
    needs("AES_GCM", "aes_gcm", CKK.AES, lambda test, tag: Gcm(_hex(test["iv"]), tag)),
    needs("AES_CCM", "aes_ccm", CKK.AES, lambda test, tag: Ccm(len(test["msg"]) // 2, _hex(test["iv"]), tag)),
    needs("CHACHA20_POLY1305", "chacha20_poly1305", CKK.CHACHA20, lambda test, tag: ChaCha(_hex(test["iv"]), tag)),
    needs("CHACHA20_POLY1305", "xchacha20_poly1305", CKK.CHACHA20, lambda test, tag: ChaCha(_hex(test["iv"]), tag)),
]


def _check(session: Session, name: str, kind: int, make: Make, test: dict[str, Any]) -> None:
    """Hold the module to one vector."""
    aad, data, sealed, tag = (_hex(test[field]) for field in ("aad", "msg", "ct", "tag"))
    key = session.create({
        CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: kind, CKA.VALUE: _hex(test["key"]), CKA.ENCRYPT: True,
        CKA.DECRYPT: True,
    })  # fmt: skip
    mechanism = Mechanism(getattr(CKM, name))
    session.init("MessageDecrypt", mechanism, key)
    halves = sealed[: len(sealed) // 2], sealed[len(sealed) // 2 :]
    if test["result"] == "invalid":
        expect(_CODES, message, session, "Decrypt", make(test, tag), sealed, aad)
        expect(_CODES, decrypt_parts, session, make(test, tag), halves, aad)
    else:
        assert data == message(session, "Decrypt", make(test, tag), sealed, aad)
        assert data == decrypt_parts(session, make(test, tag), halves, aad)
        session.init("MessageEncrypt", mechanism, key)
        used = make(test, len(tag))
        assert (sealed, tag) == (message(session, "Encrypt", used, data, aad), used.tag)
        used = make(test, len(tag))
        assert (sealed, tag) == (encrypt_parts(session, used, (data[:5], data[5:]), aad), used.tag)
        session.call("C_MessageEncryptFinal")
    # A parameter that was refused at the beginning leaves no message under way.
    session.call("C_MessageDecryptFinal")
    session.destroy(key)


@pytest.mark.parametrize(("name", "file", "kind", "make"), _CASES)
def test_messages_agree_with_the_vectors(session: Session, name: str, file: str, kind: int, make: Make) -> None:
    """Each vector is encrypted and decrypted as it says, or refused."""
    tested = 0
    for group in json.loads(lzma.decompress((_FILES / f"{file}_test.json.xz").read_bytes()))["testGroups"]:
        for test in group["tests"]:
            if len(_hex(test["iv"])) <= _LONGEST_IV and test["result"] != "acceptable":
                _check(session, name, kind, make, test)
                tested += 1
    assert tested > 50
