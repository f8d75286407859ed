"""Make one HSM the certificate authority of all, give each HSM an identity, have each trust every other.

    python examples/identities.py CA_SERIAL

The HSMs are those of the data path, their Admin tokens initialised with one Admin PIN, which is asked for or read from
PTKC_ADMIN_PIN. It is what `ctident gen-owner CA`, `ctident gen-key CA all` and `ctident trust all all` do, without
their questions, files and checks: what must not be, the HSMs refuse themselves.
"""

import getpass
import os
import sys
from contextlib import ExitStack
from itertools import permutations

from pkcs11 import CertificateType

from ptkc.vendor import Attribute, Mechanism, ObjectClass, devices, encode, generate_identity, generate_owner, lib

X_509 = {Attribute.CLASS: ObjectClass.CERTIFICATE, Attribute.CERTIFICATE_TYPE: CertificateType.X_509}
REQUEST = {Attribute.CLASS: ObjectClass.CERTIFICATE_REQUEST}
PRIVATE_KEY = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}


def main() -> int:
    """Make keys and certificates, and say so."""
    try:
        (authority,) = sys.argv[1:]
    except ValueError:
        print(__doc__, file=sys.stderr)
        return 2
    pin = os.environ.get("PTKC_ADMIN_PIN") or getpass.getpass("Admin PIN: ")
    with ExitStack() as stack:
        sessions = {hsm.serial: stack.enter_context(hsm.admin.open(rw=True, user_pin=pin)) for hsm in devices(lib())}
        ca = sessions[authority]

        generate_owner(ca)
        (pending,) = ca.get_objects({**X_509, Attribute.LABEL: "POC-Pending"})
        owner = pending[Attribute.VALUE]
        print(f"{authority}: made an owner key, its certificate is pending")

        # The CA comes first: with its own identity certified, owner key and certificate are no longer pending.
        certificates = {}
        for serial, session in sorted(sessions.items(), key=lambda item: item[1] is not ca):
            public, private = generate_identity(session)
            request = encode(session, Mechanism.ENCODE_PKCS_10, public, private)
            carried = ca.create_object({**REQUEST, Attribute.VALUE: request[Attribute.VALUE]})
            (owner_key,) = ca.get_objects({**PRIVATE_KEY, Attribute.LABEL: "POK" if certificates else "POK-Pending"})
            certificate = encode(ca, Mechanism.ENCODE_X_509, carried, owner_key)[Attribute.VALUE]
            session.create_object({**X_509, Attribute.HSM_OWNER_CERT: True, Attribute.VALUE: owner})
            session.create_object({**X_509, Attribute.LOCAL_IDENTITY_CERT: True, Attribute.VALUE: certificate})
            certificates[serial] = certificate
            print(f"{serial}: made an identity key, certified by {authority}")

        for trusting, trusted in permutations(sessions, 2):
            peer = {**X_509, Attribute.LOCAL_IDENTITY_CERT: False, Attribute.VALUE: certificates[trusted]}
            sessions[trusting].create_object(peer)
            print(f"{trusting}: trusts {trusted}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
