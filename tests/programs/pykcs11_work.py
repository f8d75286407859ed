"""What the PyKCS11 test has done in a process of its own: make keys, sign, encrypt, find, digest.

python pykcs11_work.py MODULE [LABEL PIN]        prints `done` at the end

On the token with the label, or on the first one, which it initialises.
"""

import sys

import PyKCS11
from PyKCS11 import (
    CK_FALSE,
    CK_TRUE,
    CKA_CLASS,
    CKA_DECRYPT,
    CKA_EC_PARAMS,
    CKA_ENCRYPT,
    CKA_EXTRACTABLE,
    CKA_ID,
    CKA_KEY_TYPE,
    CKA_LABEL,
    CKA_PRIVATE,
    CKA_SENSITIVE,
    CKA_SIGN,
    CKA_TOKEN,
    CKA_VALUE_LEN,
    CKA_VERIFY,
    CKF_RW_SESSION,
    CKF_SERIAL_SESSION,
    CKK_AES,
    CKK_EC,
    CKM_AES_CBC_PAD,
    CKM_AES_KEY_GEN,
    CKM_EC_KEY_PAIR_GEN,
    CKM_ECDSA,
    CKM_SHA256,
    CKO_PRIVATE_KEY,
    CKO_PUBLIC_KEY,
    CKO_SECRET_KEY,
    CKU_SO,
)

SO_PIN, PIN, LABEL = "so-12345678", "user-1234", "PyKCS11"
P256 = bytes.fromhex("06082a8648ce3d030107")


def find(library: PyKCS11.PyKCS11Lib, label: str) -> int:
    """Return the slot of the token with this label."""
    slots = library.getSlotList(tokenPresent=True)
    return next(slot for slot in slots if library.getTokenInfo(slot).label.strip() == label)


def prepare(library: PyKCS11.PyKCS11Lib) -> int:
    """Initialise the token in the first slot, both PINs, and return the slot where it is found then."""
    library.initToken(library.getSlotList(tokenPresent=True)[0], SO_PIN, LABEL.ljust(32))
    slot = find(library, LABEL)
    session = library.openSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION)
    session.login(SO_PIN, CKU_SO)
    session.initPin(PIN)
    session.logout()
    session.closeSession()
    return slot


def sign(session: PyKCS11.Session) -> None:
    """Make a P-256 pair in the token, sign a digest and verify it; a changed digest is refused."""
    public = [(CKA_CLASS, CKO_PUBLIC_KEY), (CKA_KEY_TYPE, CKK_EC), (CKA_TOKEN, CK_TRUE), (CKA_VERIFY, CK_TRUE)]
    public += [(CKA_EC_PARAMS, P256), (CKA_ID, (1,)), (CKA_LABEL, "pair")]
    private = [(CKA_CLASS, CKO_PRIVATE_KEY), (CKA_KEY_TYPE, CKK_EC), (CKA_TOKEN, CK_TRUE), (CKA_PRIVATE, CK_TRUE)]
    private += [(CKA_SIGN, CK_TRUE), (CKA_SENSITIVE, CK_TRUE), (CKA_ID, (1,)), (CKA_LABEL, "pair")]
    made_public, made_private = session.generateKeyPair(
        public, private, mecha=PyKCS11.Mechanism(CKM_EC_KEY_PAIR_GEN, None)
    )
    ecdsa = PyKCS11.Mechanism(CKM_ECDSA, None)
    digest = bytes(session.digest(b"message", PyKCS11.Mechanism(CKM_SHA256, None)))
    signature = session.sign(made_private, digest, ecdsa)
    assert session.verify(made_public, digest, signature, ecdsa)
    assert not session.verify(made_public, digest[::-1], signature, ecdsa)
    assert len(session.findObjects([(CKA_LABEL, "pair")])) == 2
    assert session.getAttributeValue(made_private, [CKA_LABEL, CKA_EXTRACTABLE]) == ["pair", False]


def encrypt(session: PyKCS11.Session) -> None:
    """Encrypt and decrypt with an AES key of the session."""
    template = [(CKA_CLASS, CKO_SECRET_KEY), (CKA_KEY_TYPE, CKK_AES), (CKA_VALUE_LEN, 32), (CKA_TOKEN, CK_FALSE)]
    template += [(CKA_ENCRYPT, CK_TRUE), (CKA_DECRYPT, CK_TRUE)]
    key = session.generateKey(template, PyKCS11.Mechanism(CKM_AES_KEY_GEN, None))
    cbc = PyKCS11.Mechanism(CKM_AES_CBC_PAD, bytes(16))
    sealed = session.encrypt(key, b"plain text", cbc)
    assert bytes(sealed) != b"plain text"
    assert bytes(session.decrypt(key, sealed, cbc)) == b"plain text"


def main() -> None:
    """Do all of it."""
    library = PyKCS11.PyKCS11Lib()
    path, label, pin = (*sys.argv[1:], "", PIN)[:3]
    library.load(path)
    slot = find(library, label) if label else prepare(library)
    session = library.openSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION)
    session.login(pin)
    sign(session)
    encrypt(session)
    assert len(session.generateRandom(32)) == 32
    session.logout()
    session.closeSession()
    print("done")


if __name__ == "__main__":
    main()
