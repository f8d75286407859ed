"""`ctcert`: certificates and certificate requests on a token. Sign, make, import, export, trust, list.

Keys never leave the HSM: it makes requests and certificates itself, by the vendor's mechanisms. An object that is
imported is given as it stands; which issuer is to be believed is decided by whoever trusts it (`ctcert t`).
"""
# ruff: noqa: T201 - commands print

from __future__ import annotations

import hashlib
import os
import sys
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ptkc.client.certificates import from_pem, to_pem
from ptkc.tools import arguments, common, files, objects, slots, subjects
from ptkc.vendor import Attribute, Mechanism, ObjectClass, encode

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

__all__ = ["main", "parser"]

_TOOL = "ctcert"
_ID_LENGTH = 8
_ARMOUR = {ObjectClass.CERTIFICATE: "CERTIFICATE", ObjectClass.CERTIFICATE_REQUEST: "CERTIFICATE REQUEST"}
_KINDS = {"request": ObjectClass.CERTIFICATE_REQUEST, "certificate": ObjectClass.CERTIFICATE}


def parser() -> arguments.Letters:
    """Return the parser; documentation and completion are made from it."""
    top = arguments.top(
        _TOOL,
        "Certificates and certificate requests on a token. Files are PEM or DER when read, PEM when written.",
        environment=("PTKC_USER_PIN", "PTKC_ADMIN_PIN", "PTKC_SO_PIN", "PTKC_ASO_PIN"),
    )
    commands = top.add_subparsers(title="commands", metavar="command", required=True)
    making = _command(
        commands, "c", _certify,
        ("ctcert c -lHSM_1111 -cPOK -s1", "sign the request HSM_1111 with the key POK: the certificate HSM_1111"),
        ("ctcert c -s0 -k -z2048 -lserver", "a new key pair and its certificate"),
    )  # fmt: skip
    making.add_argument("-c", dest="ca", metavar="<CA_key_label>", help="the key to sign a request with")
    making.add_argument("-k", dest="make_key", action="store_true", help="make a key pair, self-signed")
    making.add_argument("-z", dest="bits", metavar="<bits>", type=arguments.number, default=2048, help="RSA key size")
    making.add_argument("-C", dest="curve", metavar="<curve>", type=objects.curve, help="curve of an EC key (ours)")
    _subject(making)

    importing = _command(commands, "i", _import, ("ctcert i -fHSM_1111.csr -lHSM_1111 -s1", "import a request"))
    importing.add_argument("-f", dest="file", metavar="<file>", required=True, help="certificate or PKCS#10 request")

    exporting = _command(commands, "x", _export, ("ctcert x -lPOC -fPOC.crt -s1", "export the owner certificate"))
    exporting.add_argument("-f", dest="file", metavar="<file>", help="file to write; without it standard output")
    exporting.add_argument("--kind", choices=tuple(_KINDS), help="which of two objects with the label (ours)")
    exporting.add_argument("--yes", action="store_true", help="overwrite the file")

    _command(commands, "t", _trust, ("ctcert t -lroot -s0", "trust it, as the Security Officer"))
    requesting = _command(commands, "r", _request, ("ctcert r -lserver -s0 -fserver.csr", "a request of a key pair"))
    requesting.add_argument("-f", dest="file", metavar="<file>", help="write the request to a file too")
    requesting.add_argument("--yes", action="store_true", help="overwrite the file")
    _subject(requesting)

    listing = _command(commands, "l", _list, ("ctcert l -s1", "certificates and requests of the token"), label=False)
    listing.add_argument("--json", action="store_true", help="print JSON")
    return top


def _command(
    commands: Any, letter: str, run: Any, *examples: tuple[str, str], label: bool = True  # noqa: ANN401
) -> arguments.Letters:
    """Add a sub-command with `-s`, and `-l` unless it needs none."""
    made = arguments.command(commands, letter, run, examples=examples)
    arguments.slot(made)
    if label:
        made.add_argument("-l", dest="label", metavar="<label>", required=True, help="label of the object")
    return made


def _subject(parser: ArgumentParser) -> None:
    """Add the option that gives the subject instead of the questions."""
    text = "subject, as CN=a,O=b; its fields are asked for without it (ours)"
    parser.add_argument("--subject", metavar="<name>", help=text)


# Making


def _certify(options: Namespace) -> int:
    """Sign a certificate: of a request, or of a new key pair with itself. It takes the label of the request."""
    if options.make_key == (options.ca is not None):
        options.parser.error("give either -c<CA_key_label>, to sign a request, or -k, to make a key pair")
    place = slots.at(options.slot)
    with slots.user(place) as session:
        if options.make_key:
            _self_sign(session, options)
        else:
            (request,) = objects.pick(objects.named(session, options.label, (ObjectClass.CERTIFICATE_REQUEST,)))
            (key,) = objects.pick(objects.named(session, options.ca, (ObjectClass.PRIVATE_KEY,)))
            template = {Attribute.TOKEN: True, Attribute.LABEL: options.label}
            with slots.hinted(_REFUSALS):
                encode(session, Mechanism.ENCODE_X_509, request, key, template, _signature(key))
    common.note(_TOOL, f"the certificate {options.label} is on {place.name}; `ctcert x` exports it")
    return common.OK


_REFUSALS = {
    "CKR_SIGNATURE_INVALID": "the request is not signed by the key that it is for",
    "CKR_KEY_FUNCTION_NOT_PERMITTED": "may this key sign? POK-Pending signs only for its own HSM: `ctident gen-key`",
    "CKR_TEMPLATE_INCONSISTENT": "a POK signs requests of HSMs only, as `ctident gen-csr` makes them",
}


def _self_sign(session: Any, options: Namespace) -> None:  # noqa: ANN401 - python-pkcs11's session
    """Make a key pair and its certificate, all with one label and CKA_ID."""
    subject = subjects.ask(options.subject)
    making = objects.KEY_TYPES["ec" if options.curve else "rsa"]
    shared = {Attribute.ID: os.urandom(_ID_LENGTH)}
    public = {**shared, **objects.template(ObjectClass.PUBLIC_KEY, making.letters)}
    private = {**shared, **objects.template(ObjectClass.PRIVATE_KEY, making.letters)}
    if options.curve:
        public[Attribute.EC_PARAMS] = objects.parameters(options.curve)
    keys = session.generate_keypair(
        making.key_type, None if options.curve else options.bits, label=options.label, store=True, capabilities=0,
        public_template=public, private_template=private,
    )  # fmt: skip
    template = {Attribute.TOKEN: True, Attribute.LABEL: options.label, Attribute.SUBJECT: subject, **shared}
    try:
        encode(session, Mechanism.ENCODE_X_509, keys[0], keys[1], template, _signature(keys[1]))
    except RuntimeError:
        for each in keys:
            each.destroy()
        raise


def _signature(key: Any) -> Mechanism:  # noqa: ANN401 - python-pkcs11's object
    """Return the mechanism that a key signs certificates with."""
    mechanisms = {"RSA": Mechanism.SHA256_RSA_PKCS, "EC": Mechanism.ECDSA_SHA512, "EC_EDWARDS": Mechanism.EDDSA}
    kind = key[Attribute.KEY_TYPE].name
    if kind not in mechanisms:
        raise common.ToolError(f"a {kind} key signs no certificates", "RSA and EC keys do")
    found: Mechanism = mechanisms[kind]
    return found


def _request(options: Namespace) -> int:
    """Make a certificate request (PKCS#10) of the key pair with a label; the request takes the label."""
    place = slots.at(options.slot)
    with slots.user(place) as session:
        (key,) = objects.pick(objects.named(session, options.label, (ObjectClass.PRIVATE_KEY,)))
        (public,) = objects.pick(objects.named(session, options.label, (ObjectClass.PUBLIC_KEY,)))
        template = {
            Attribute.TOKEN: True,
            Attribute.LABEL: options.label,
            Attribute.SUBJECT: subjects.ask(options.subject),
        }
        made = encode(session, Mechanism.ENCODE_PKCS_10, public, key, template, _signature(key))
        der = made[Attribute.VALUE]
    if options.file:
        files.write(options.file, to_pem(der, _ARMOUR[ObjectClass.CERTIFICATE_REQUEST]), yes=options.yes)
    common.note(_TOOL, f"the request {options.label} is on {place.name}")
    return common.OK


# Files


def _import(options: Namespace) -> int:
    """Import a certificate or a certificate request from a file."""
    object_class, der = _read(options.file)
    place = slots.at(options.slot)
    with slots.user(place) as session:
        template = {
            Attribute.CLASS: object_class,
            Attribute.TOKEN: True,
            Attribute.PRIVATE: False,
            Attribute.LABEL: options.label,
            Attribute.VALUE: der,
        }
        if object_class == ObjectClass.CERTIFICATE:
            certificate = x509.load_der_x509_certificate(der)
            template |= {**subjects.certificate(certificate), Attribute.ID: _key_id(session, certificate)}
        session.create_object(template)
    common.note(_TOOL, f"{options.file} is on {place.name} as {options.label}")
    return common.OK


def _read(path: str) -> tuple[ObjectClass, bytes]:
    """Return what is in a file, as class and DER; ToolError if it is neither certificate nor request."""
    raw = files.read(path)
    try:
        der = from_pem(raw)
    except ValueError:
        der = b""
    for object_class, load in (
        (ObjectClass.CERTIFICATE, x509.load_der_x509_certificate),
        (ObjectClass.CERTIFICATE_REQUEST, x509.load_der_x509_csr),
    ):
        try:
            load(der)
        except ValueError:
            continue
        return object_class, der
    raise common.ToolError(f"{path} is neither a certificate nor a certificate request", "PEM and DER are read")


def _key_id(session: Any, certificate: x509.Certificate) -> bytes:  # noqa: ANN401 - python-pkcs11's session
    """Return the CKA_ID of the certificate's key on the token, that clients find both; else the key's SHA-1."""
    public = certificate.public_key()
    template: dict[Any, Any] = {Attribute.CLASS: ObjectClass.PUBLIC_KEY}
    if isinstance(public, rsa.RSAPublicKey):
        modulus = public.public_numbers().n
        template[Attribute.MODULUS] = modulus.to_bytes((modulus.bit_length() + 7) // 8, "big")
    elif isinstance(public, ec.EllipticCurvePublicKey):
        point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        template[Attribute.EC_POINT] = subjects.octets(point)
    else:
        template = {}
    found = [each for each in session.get_objects(template) if each[Attribute.ID]] if template else []
    return found[0][Attribute.ID] if found else hashlib.sha1(_key_bits(certificate), usedforsecurity=False).digest()


def _key_bits(certificate: x509.Certificate) -> bytes:
    """Return the bits of a certificate's public key, which its identifier is made of (RFC 5280, 4.2.1.2)."""
    return subjects.key_bits(certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _export(options: Namespace) -> int:
    """Export a certificate or request. Of several objects with the label it is asked which one."""
    place = slots.at(options.slot)
    classes = (_KINDS[options.kind],) if options.kind else objects.CERTIFICATES
    with slots.user(place, rw=False) as session:
        (found,) = objects.pick(objects.named(session, options.label, classes))
        values = found.get_attributes([Attribute.CLASS, Attribute.VALUE])
    text = to_pem(values[Attribute.VALUE], _ARMOUR[values[Attribute.CLASS]])
    if options.file is None:
        print(text.decode(), end="")
    else:
        files.write(options.file, text, yes=options.yes)
        common.note(_TOOL, f"{options.label} is in {options.file}")
    return common.OK


# Trust and listing


def _trust(options: Namespace) -> int:
    """Trust a certificate: set CKA_TRUSTED, as the Security Officer of the token."""
    place = slots.at(options.slot)
    with slots.officer(place) as session:
        (found,) = objects.pick(objects.named(session, options.label, (ObjectClass.CERTIFICATE,)))
        found[Attribute.TRUSTED] = True
    common.note(_TOOL, f"{options.label} on {place.name} is trusted")
    return common.OK


def _list(options: Namespace) -> int:
    """List the certificates and requests of a token."""
    place = slots.at(options.slot)
    with slots.user(place, rw=False) as session:
        rows = [_row(each) for each in objects.find(session, None, objects.CERTIFICATES)]
    names = ("label", "object", "subject", "issuer", "expires", "trusted")
    if options.json:
        common.print_json({"slot": place.number, "objects": [dict(zip(names, row, strict=True)) for row in rows]})
    elif rows:
        common.print_table(names, rows)
    else:
        common.note(_TOOL, f"no certificates and no requests on {place.name}")
    return common.OK


def _row(found: Any) -> tuple[str, ...]:  # noqa: ANN401 - python-pkcs11's object
    """Return what is listed of a certificate or request."""
    values = found.get_attributes([Attribute.CLASS, Attribute.LABEL, Attribute.VALUE, Attribute.TRUSTED])
    label, der = values.get(Attribute.LABEL, ""), values.get(Attribute.VALUE, b"")
    kind = objects.KINDS[values[Attribute.CLASS]]
    try:
        if values[Attribute.CLASS] == ObjectClass.CERTIFICATE_REQUEST:
            return label, kind, objects.name_text(x509.load_der_x509_csr(der).subject), "", "", ""
        certificate = x509.load_der_x509_certificate(der)
    except ValueError:
        return label, kind, "not to be read", "", "", ""
    names = (objects.name_text(certificate.subject), objects.name_text(certificate.issuer))
    expires = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    return label, kind, *names, expires, "yes" if values.get(Attribute.TRUSTED) else "no"


def main() -> None:
    """Run the command line."""
    sys.exit(common.run(parser()))


if __name__ == "__main__":
    main()
