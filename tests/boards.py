"""HSMs in this process, each with an Administrator at work, for the tests of identities and certificates."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ptkc.hsm.application import Application
from ptkc.hsm.device import LocalDevice
from ptkc.hsm.handles import Handles
from ptkc.spec.constants import CKA, CKC, CKF, CKM, CKO, CKU
from ptkc.spec.layouts import GenPik, MechanismAndObject
from ptkc.spec.values import Template, boolean, from_ulong, ulong
from ptkc.token.hsms import Hsm

__all__ = [
    "DAY", "MEMBER", "OWNED", "P384", "PENDING", "PENDING_OWNER", "SELF", "Board", "board", "boards", "certificate",
    "joined", "paths_of", "self_signed", "template", "three", "two",
]  # fmt: skip

# States, as `Board.state` says them.
OWNED = "PIC:c PIK:k PIK:p POC:c POK:k POK:p"
MEMBER = "PIC:c PIK:k PIK:p POC:c"
SELF = "PIC:c PIK:k PIK:p"
PENDING_OWNER = "POC-Pending:c POK-Pending:k POK-Pending:p"
PENDING = "PIK-Pending:k PIK-Pending:p"

P384 = bytes.fromhex("06052b81040022")
DAY = 86400

ASO_PIN, ADMIN_PIN, SO_PIN, USER_PIN = b"aso-12345678", b"admin-1234", b"so-12345678", b"user-1234"
READ_WRITE = CKF.SERIAL_SESSION | CKF.RW_SESSION


def template(**attributes: bool | int | str | bytes) -> Template:
    """Return a template: CLASS=…, TOKEN=True, LABEL="…"."""
    made = []
    for name, value in attributes.items():
        if isinstance(value, bool):
            raw = boolean(value)
        elif isinstance(value, int):
            raw = ulong(value)
        else:
            raw = value.encode() if isinstance(value, str) else value
        made.append((getattr(CKA, name), raw))
    return tuple(made)


class Board:
    """An HSM whose Administrator is logged in; `slot` is the Admin slot, `session` a read/write session with it."""

    def __init__(self, hsm: Hsm) -> None:
        """Initialise the Admin token if it is not, and log in."""
        self.hsm = hsm
        self.application = Application(hsm, Handles())
        self.device = LocalDevice(hsm, self.application)
        self.log_in()

    def log_in(self) -> None:
        """Open a session; after a tamper the Admin token is initialised anew first."""
        self.slot = len(self.hsm.tokens) - 1
        if not self.hsm.tokens[self.slot].user_pin_set:
            self.device.init_token(self.slot, ASO_PIN, b"")
            session = self.device.open_session(self.slot, READ_WRITE)
            self.device.login(session, CKU.SO, ASO_PIN)
            self.device.init_pin(session, ADMIN_PIN)
            self.device.close_session(session)
        self.session = self.device.open_session(self.slot, READ_WRITE)
        self.device.login(self.session, CKU.USER, ADMIN_PIN)

    def user_session(self) -> int:
        """Return a session of the user of the first slot's token, which is initialised."""
        self.device.init_token(0, SO_PIN, b"user token".ljust(32))
        session = self.device.open_session(0, READ_WRITE)
        self.device.login(session, CKU.SO, SO_PIN)
        self.device.init_pin(session, USER_PIN)
        self.device.logout(session)
        self.device.login(session, CKU.USER, USER_PIN)
        return session

    # Objects

    def find(self, **attributes: bool | int | str | bytes) -> list[int]:
        """Return the objects that match."""
        self.device.find_objects_init(self.session, template(**attributes))
        found = self.device.find_objects(self.session, 1000)
        self.device.find_objects_final(self.session)
        return list(found)

    def one(self, object_class: int, label: str) -> int:
        """Return the one object of a class with a label."""
        (found,) = self.find(CLASS=object_class, LABEL=label)
        return found

    def get(self, target: int, name: str, session: int | None = None) -> bytes:
        """Return an attribute."""
        _, (value,) = self.device.get_attribute_value(session or self.session, target, (getattr(CKA, name),))
        assert value is not None
        return value

    def value(self, label: str) -> bytes:
        """Return the certificate with a label (DER)."""
        return self.get(self.one(CKO.CERTIFICATE, label), "VALUE")

    def parsed(self, label: str) -> x509.Certificate:
        """Return the certificate with a label."""
        return x509.load_der_x509_certificate(self.value(label))

    @property
    def state(self) -> str:
        """The labels of the identity objects: k for a private key, p for a public one, c for a certificate."""
        letters = {CKO.PRIVATE_KEY: "k", CKO.PUBLIC_KEY: "p", CKO.CERTIFICATE: "c"}
        found = []
        for target in self.find(MODIFIABLE=False):
            letter = letters[from_ulong(self.get(target, "CLASS"))]
            found.append(f"{self.get(target, 'LABEL').decode()}:{letter}")
        return " ".join(sorted(found))

    # What tools do

    def generate_owner(self) -> tuple[int, int]:
        """Make an owner key."""
        mark = template(HSM_OWNER_CERT=True)
        return self.device.generate_key_pair(self.session, (CKM.EC_KEY_PAIR_GEN, None), mark, mark)

    def generate_identity(self, *, self_sign: bool = False) -> tuple[int, int]:
        """Make an identity key."""
        mechanism = (CKM.GEN_PIK_ECC_P521, GenPik(self_sign))
        return self.device.generate_key_pair(self.session, mechanism, (), ())

    def encode(
        self, mechanism: int, base: int, key: int, *, signature: int = CKM.ECDSA_SHA512,
        session: int | None = None, **attributes: bool | int | str | bytes,
    ) -> int:  # fmt: skip
        """Make a request or a certificate."""
        parameter = MechanismAndObject(signature, key)
        return self.device.derive_key(session or self.session, (mechanism, parameter), base, template(**attributes))[0]

    def request(self) -> bytes:
        """Make a pending identity key and return the request for its certificate."""
        public, private = self.generate_identity()
        return self.get(self.encode(CKM.ENCODE_PKCS_10, public, private), "VALUE")

    def certify(self, request: bytes, key: str = "POK") -> bytes:
        """Return what the owner key makes of a request."""
        base = self.device.create_object(self.session, template(CLASS=CKO.CERTIFICATE_REQUEST, VALUE=request))
        return self.get(self.encode(CKM.ENCODE_X_509, base, self.one(CKO.PRIVATE_KEY, key)), "VALUE")

    def store(self, value: bytes, **marks: bool) -> int:
        """Store a certificate with a mark."""
        kind = {"CLASS": CKO.CERTIFICATE, "CERTIFICATE_TYPE": CKC.X_509, "VALUE": value}
        return self.device.create_object(self.session, template(**kind, **marks))

    def store_owner(self, value: bytes) -> int:
        """Store an owner certificate."""
        return self.store(value, HSM_OWNER_CERT=True)

    def store_identity(self, value: bytes) -> int:
        """Store the HSM's own identity certificate."""
        return self.store(value, LOCAL_IDENTITY_CERT=True)

    def trust(self, other: Board) -> int:
        """Trust another HSM."""
        return self.store(other.value("PIC"), LOCAL_IDENTITY_CERT=False)

    def become_owner(self) -> None:
        """Make an owner, and its own identity below it."""
        self.generate_owner()
        self.store_identity(self.certify(self.request(), "POK-Pending"))

    def join(self, owner: Board) -> None:
        """Have an owner in force certify this HSM."""
        self.store_owner(owner.value("POC"))
        self.store_identity(owner.certify(self.request()))

    @property
    def trusted(self) -> list[str]:
        """The serials of the peers whose certificates are in use."""
        from ptkc.hsm import identity  # noqa: PLC0415 - behind `load`

        return sorted(identity.trusted(self.hsm))


def boards(directory: Path, count: int) -> list[Board]:
    """Return so many new HSMs below a directory."""
    paths = os.path.join(directory, "data"), os.path.join(directory, "keys")
    return [Board(Hsm.add(*paths)) for _ in range(count)]


def paths_of(hsm: Hsm) -> tuple[str, str]:
    """Return the data path and the key path of an HSM that `boards` made."""
    data = os.path.dirname(hsm.directory)
    return data, os.path.join(os.path.dirname(data), "keys")


def joined(*labels: str) -> str:
    """Return the state that has all of these."""
    return " ".join(sorted(" ".join(labels).split()))


# Fixtures


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """Return an HSM whose Administrator is logged in."""
    return boards(tmp_path, 1)[0]


@pytest.fixture
def two(tmp_path: Path) -> list[Board]:
    """Return two HSMs."""
    return boards(tmp_path, 2)


@pytest.fixture
def three(tmp_path: Path) -> list[Board]:
    """Return three HSMs of one owner, the first."""
    made = boards(tmp_path, 3)
    made[0].become_owner()
    for member in made[1:]:
        member.join(made[0])
    return made


# Certificates that others make


def certificate(
    key: ec.EllipticCurvePrivateKey | x509.CertificateSigningRequest, issuer: ec.EllipticCurvePrivateKey, *,
    subject: str = "peer", issued_by: str = "peer", serial: str | None = None, ca: bool = False,
    days: tuple[float, float] = (-1, 1), critical: str | None = None, usage: str | None = None,
) -> bytes:  # fmt: skip
    """Return a certificate of a key or of a request's, made by another key outside of any HSM; `days` are from now."""
    now = dt.datetime.now(dt.UTC)
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, subject)]
    if serial is not None:
        attributes.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, serial))
    name = x509.Name(attributes)
    by = name if issued_by == subject else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issued_by)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days[0]))
        .not_valid_after(now + dt.timedelta(days[1]))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if critical is not None:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(critical), b"\x05\x00")
        builder = builder.add_extension(unknown, critical=True)
    if usage is not None:
        names = (
            "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
            "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
        )  # fmt: skip
        builder = builder.add_extension(x509.KeyUsage(**{name: name == usage for name in names}), critical=True)
    return builder.sign(issuer, SHA512()).public_bytes(Encoding.DER)


def self_signed(curve: ec.EllipticCurve | None = None, **said: object) -> bytes:
    """Return a self-signed certificate of a new key."""
    key = ec.generate_private_key(curve or ec.SECP521R1())
    return certificate(key, key, **said)  # type: ignore[arg-type]
