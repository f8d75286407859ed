"""Sign a file with a P-256 key that never leaves its token, with python-pkcs11.

    python examples/python_pkcs11_sign.py MODULE TOKEN FILE

MODULE is what `ptkc module` prints, TOKEN the token's label; the PIN is asked for, or read from PKCS11_PIN. The key is
made at the first call. Beside FILE appear FILE.sig and FILE.der, and how `openssl` verifies them is printed.
"""

import getpass
import os
import sys
from pathlib import Path

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.util.ec import encode_ec_public_key, encode_ecdsa_signature, encode_named_curve_parameters

LABEL = "python-pkcs11 example"


def main() -> int:
    """Sign the file named on the command line."""
    try:
        module, token, path = sys.argv[1:]
    except ValueError:
        print(__doc__, file=sys.stderr)
        return 2
    pin = os.environ.get("PKCS11_PIN") or getpass.getpass("PIN: ")

    library = pkcs11.lib(module)
    with library.get_token(token_label=token).open(rw=True, user_pin=pin) as session:
        try:
            private = session.get_key(ObjectClass.PRIVATE_KEY, KeyType.EC, LABEL)
            public = session.get_key(ObjectClass.PUBLIC_KEY, KeyType.EC, LABEL)
        except pkcs11.NoSuchKey:
            curve = session.create_domain_parameters(
                KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}, local=True
            )
            public, private = curve.generate_keypair(store=True, label=LABEL)
        digest = session.digest(Path(path).read_bytes(), mechanism=Mechanism.SHA256)
        raw = private.sign(digest, mechanism=Mechanism.ECDSA)
        der = encode_ec_public_key(public)

    signature, key = Path(f"{path}.sig"), Path(f"{path}.der")
    signature.write_bytes(encode_ecdsa_signature(raw))
    key.write_bytes(der)
    print(f"openssl dgst -sha256 -keyform DER -verify {key} -signature {signature} {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
