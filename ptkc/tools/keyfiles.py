"""Keys in files, for `ctkmu`: backups under a wrapping key, shares of a key, and PKCS#12.

A backup file is what the HSM makes (CKM_WRAPKEY_AES_KWP), keys with their attributes; a share is a part of one secret
key, of which so many make it again (CKM_SECRET_SHARE_WITH_ATTRIBUTES). The tool sees no key in either. PKCS#12 is a
key from elsewhere, which this process must see.
"""

from __future__ import annotations

import os
import re
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs12
from pkcs11.exceptions import PKCS11Error

from ptkc.mechanisms import wrapkey
from ptkc.spec.errors import CryptokiError
from ptkc.tools import arguments, common, files, objects, slots, subjects
from ptkc.vendor import Attribute, KeyType, ObjectClass, back_up, recover_secret, restore, share_secret

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

__all__ = ["add"]

_TOOL = "ctkmu"
_ID_LENGTH = 8


def add(commands: Any, pins: Callable[..., None]) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Add the sub-commands; `pins` adds the PIN options."""
    export = arguments.command(
        commands, "x", _export,
        examples=(
            ("ctkmu x -s0 -wbackup keys.bin", "all keys that may leave, under the AES key `backup`"),
            ("ctkmu x -s0 -nmaster -M3,5 master", "five shares, of which three make the key again"),
        ),
    )  # fmt: skip
    arguments.slot(export)
    how = export.add_mutually_exclusive_group(required=True)
    how.add_argument("-w", dest="wrapping", metavar="<label>", help="the AES key to wrap with")
    how.add_argument("-M", dest="shares", metavar="<n>,<m>", type=_shares, help="m shares of one key, n make it again")
    export.add_argument("-n", dest="labels", metavar="<label>", action="append", help="only these; may be repeated")
    export.add_argument("--yes", action="store_true", help="overwrite files")
    export.add_argument("file", metavar="<file>", help="the file to write; of shares its name without number")
    pins(export, officer=False)

    load = arguments.command(
        commands, "i", _import,
        examples=(
            ("ctkmu i -s1 -wbackup keys.bin", "all keys of the file"),
            ("ctkmu i -s1 -M master.1 master.3 master.4", "the key of which these are shares"),
        ),
    )  # fmt: skip
    arguments.slot(load)
    how = load.add_mutually_exclusive_group(required=True)
    how.add_argument("-w", dest="wrapping", metavar="<label>", help="the AES key to unwrap with")
    how.add_argument("-M", dest="shares", action="store_true", help="the files are shares")
    load.add_argument("files", metavar="<file>", nargs="+", help="the backup file, or the shares")
    pins(load, officer=False)

    bundle = arguments.command(
        commands, "j", _bundle, examples=(("ctkmu j -s0 -aMPxDES -nserver server.p12", "a key"),)
    )
    arguments.slot(bundle)
    bundle.add_argument("-n", dest="label", metavar="<label>", required=True, help="label of key and certificate")
    bundle.add_argument(
        "-a", dest="given", metavar="<letters>", type=objects.letters, default="PTMDESVWU",
        help="attribute letters, without it %(default)s",
    )  # fmt: skip
    bundle.add_argument("file", metavar="<file>", help="the PKCS#12 file; its password is asked for")
    pins(bundle, officer=False)


def _shares(text: str) -> tuple[int, int]:
    """Return n and m of n-of-m, for argparse."""
    found = re.fullmatch(r"(\d+)(?:,|-?of-?)(\d+)", text)
    if found is None or not 2 <= int(found[1]) <= int(found[2]) <= 64:  # noqa: PLR2004 - the mechanism's limits
        raise ArgumentTypeError(f"{text!r}: write n,m with 2 <= n <= m <= 64, as 3,5")
    return int(found[1]), int(found[2])


# Backups


def _export(options: Namespace) -> int:
    """Export keys to a backup file under a wrapping key, or one key as shares."""
    place = slots.at(options.slot)
    with slots.user(place, options.user_pin, rw=False) as session:
        if options.shares:
            return _split(session, options)
        key = _wrapping_key(session, options.wrapping, Attribute.WRAP, Attribute.EXPORT)
        chosen: list[Any] = []
        left: list[Any] = []
        for each in _candidates(session, options.labels):
            if each.handle != key.handle:
                (chosen if _may_leave(each, key) else left).append(each)
        for each in left:
            shown = objects.describe(each)
            common.note(_TOOL, f"left out, since it may not be extracted: {shown.kind} {shown.label}")
        if not chosen:
            raise common.ToolError("there is no key to export", "CKA_EXTRACTABLE (letter X) lets a key be exported")
        wrapped = back_up(session, key, chosen)
    files.write(options.file, wrapped, yes=options.yes, secret=True)
    common.note(_TOOL, f"{len(chosen)} key{'s' * (len(chosen) > 1)} in {options.file}, under {options.wrapping}")
    return common.OK


def _candidates(session: Any, labels: list[str] | None) -> list[Any]:  # noqa: ANN401 - python-pkcs11's session
    """Return the keys with these labels, all without any."""
    if labels is None:
        return list(objects.find(session, None, objects.KEYS))
    return [each for label in labels for each in objects.named(session, label, objects.KEYS)]


def _may_leave(key: Any, wrapping: Any) -> bool:  # noqa: ANN401 - python-pkcs11's objects
    """Whether a key may be wrapped: public keys, and others without limits that say so, some under export keys only."""
    limits = Attribute.USAGE_LIMIT, Attribute.ADMIN_CERT
    values = key.get_attributes([Attribute.CLASS, Attribute.EXTRACTABLE, Attribute.EXPORTABLE, *limits])
    if any(limit in values for limit in limits):
        return bool(values[Attribute.CLASS] == ObjectClass.PUBLIC_KEY)
    if values[Attribute.CLASS] == ObjectClass.PUBLIC_KEY or values.get(Attribute.EXTRACTABLE):
        return True
    return bool(values.get(Attribute.EXPORTABLE) and wrapping.get_attributes([Attribute.EXPORT]).get(Attribute.EXPORT))


def _wrapping_key(session: Any, label: str, use: Attribute, by_so: Attribute) -> Any:  # noqa: ANN401 - python-pkcs11's
    """Return the AES key to wrap or unwrap with: it may itself, or the Security Officer says that it may."""
    (key,) = objects.pick(objects.named(session, label, (ObjectClass.SECRET_KEY,)))
    values = key.get_attributes([Attribute.KEY_TYPE, use, by_so])
    if values[Attribute.KEY_TYPE] != KeyType.AES or not (values.get(use) or values.get(by_so)):
        hint = "`ctkmu c -taes -aPTMWU -n<label>` makes one that is good for nothing else"
        raise common.ToolError(f"{label} is no AES key with CKA_{use.name}", hint)
    return key


def _split(session: Any, options: Namespace) -> int:  # noqa: ANN401 - python-pkcs11's session
    """Write the shares of one key."""
    if len(options.labels or ()) != 1:
        options.parser.error("shares are of one key: name it by -n<label>")
    (key,) = objects.pick(objects.named(session, options.labels[0], (ObjectClass.SECRET_KEY, ObjectClass.PRIVATE_KEY)))
    needed, made = options.shares
    for number, share in enumerate(share_secret(session, key, needed, made), 1):
        files.write(f"{options.file}.{number}", share, yes=options.yes, secret=True)
    common.note(_TOOL, f"shares in {options.file}.1 to {options.file}.{made}; {needed} of them make the key again")
    return common.OK


def _import(options: Namespace) -> int:
    """Import the keys of a backup file, or a key from its shares; they keep their labels and attributes."""
    found = [files.read(path) for path in options.files]
    if not options.shares:
        if len(found) > 1:
            options.parser.error("one backup file at a time; shares need -M")
        count = _count(found[0], options.files[0])
    place = slots.at(options.slot)
    with slots.user(place, options.user_pin) as session:
        if options.shares:
            with slots.hinted({"CKR_WRAPPED_KEY_INVALID": "a share is wrong, or they are too few"}):
                recover_secret(session, found, {Attribute.TOKEN: True})
            count = 1
        else:
            key = _wrapping_key(session, options.wrapping, Attribute.UNWRAP, Attribute.IMPORT)
            for number in range(count):
                _restore(session, key, found[0], number)
    common.note(_TOOL, f"{count} key{'s' * (count > 1)} on {place.name}")
    return common.OK


def _count(raw: bytes, path: str) -> int:
    """Return how many keys are in a backup file."""
    try:
        return wrapkey.count(raw)
    except CryptokiError:
        raise common.ToolError(f"{path} is no backup file", "`ctkmu x` writes them") from None


def _restore(session: Any, key: Any, raw: bytes, number: int) -> None:  # noqa: ANN401 - python-pkcs11's objects
    """Bring one key of a backup file onto the token; the file says all else about it."""
    try:
        restore(session, key, raw, number, {Attribute.TOKEN: True})
    except PKCS11Error as error:
        message, hint = common.reason(error)
        hint = "the file is damaged, or under another key" if "WRAPPED_KEY_INVALID" in message else hint
        raise common.ToolError(f"key {number + 1} is not imported: {message}", hint) from None


# PKCS#12


def _bundle(options: Namespace) -> int:
    """Import key and certificates from a PKCS#12 file."""
    raw = files.read(options.file)
    place = slots.at(options.slot)
    slots.require_initialised(place)
    password = common.read_line(f"Password of {options.file}: ", hidden=True)
    if password is None:
        raise common.ToolError("no password: the input is at its end", "write it to standard input as a line")
    try:
        found = pkcs12.load_pkcs12(raw, password.encode() or None)
    except ValueError:
        raise common.ToolError(f"{options.file} cannot be read", "is it PKCS#12, and the password right?") from None
    with slots.user(place, options.user_pin) as session:
        shared = {Attribute.LABEL: options.label, Attribute.ID: os.urandom(_ID_LENGTH), Attribute.TOKEN: True}
        if found.key is not None:
            for template in _templates(found.key, options.given):
                session.create_object({**template, **shared})
        if found.cert is not None:
            session.create_object({**subjects.certificate(found.cert.certificate), **shared})
        for number, other in enumerate(found.additional_certs, 1):
            label = f"{options.label} CA {number}"
            named = {Attribute.TOKEN: True, Attribute.LABEL: label}
            session.create_object({**subjects.certificate(other.certificate), **named})
    certificates = len(found.additional_certs) + (found.cert is not None)
    keys = int(found.key is not None)
    common.note(_TOOL, f"{options.label} on {place.name}: {keys} key, {certificates} certificates")
    return common.OK


def _templates(key: Any, given: str) -> list[dict[Any, Any]]:  # noqa: ANN401 - cryptography's private keys
    """Return the templates of a private key and its public key."""
    private = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, **objects.template(ObjectClass.PRIVATE_KEY, given)}
    public = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, **objects.template(ObjectClass.PUBLIC_KEY, given)}
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        shared = {
            Attribute.KEY_TYPE: KeyType.RSA,
            Attribute.MODULUS: _unsigned(numbers.public_numbers.n),
            Attribute.PUBLIC_EXPONENT: _unsigned(numbers.public_numbers.e),
        }
        secret = {
            Attribute.PRIVATE_EXPONENT: _unsigned(numbers.d),
            Attribute.PRIME_1: _unsigned(numbers.p),
            Attribute.PRIME_2: _unsigned(numbers.q),
            Attribute.EXPONENT_1: _unsigned(numbers.dmp1),
            Attribute.EXPONENT_2: _unsigned(numbers.dmq1),
            Attribute.COEFFICIENT: _unsigned(numbers.iqmp),
        }
        return [{**private, **shared, **secret}, {**public, **shared}]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        info = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        shared = {Attribute.KEY_TYPE: KeyType.EC, Attribute.EC_PARAMS: subjects.key_parameters(info)}
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        size = (key.curve.key_size + 7) // 8
        value = key.private_numbers().private_value.to_bytes(size, "big")
        secret = {Attribute.VALUE: value}
        return [{**private, **shared, **secret}, {**public, **shared, Attribute.EC_POINT: subjects.octets(point)}]
    raise common.ToolError("the key in the file is neither RSA nor EC", "nothing was imported")


def _unsigned(number: int) -> bytes:
    """Return a big integer as Cryptoki has it."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
