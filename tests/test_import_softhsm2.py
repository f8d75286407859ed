"""`ptkc import softhsm2`: a token that softhsm2-util and pkcs11-tool made works on ours as it did."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import struct
import sys
from contextlib import closing
from pathlib import Path

import pytest
from modules import clean_environment, module_under_test
from processes import program, run

from ptkc.spec.constants import CKA, CKK, CKO

_PIN, _SO_PIN = "1234", "12345678"
_PTKC = str(Path(sys.executable).with_name("ptkc"))
_KEYS = (("RSA:2048", "01", "rsa"), ("EC:prime256v1", "02", "ec"), ("EC:edwards25519", "03", "ed"))

# Run with SoftHSM2's module: a key with a template and a list of mechanisms, which no command line can make.
_TEMPLATED = """
import sys
import pkcs11
from ptkc.spec.constants import CKA, CKK, CKM, CKO
from ptkc.spec.values import ulong
from ptkc.vendor import calls, create_object
module, pin = sys.argv[1:]
library = pkcs11.lib(module)
calls.loaded(module)
with next(library.get_tokens(token_flags=pkcs11.TokenFlag.TOKEN_INITIALIZED)).open(rw=True, user_pin=pin) as session:
    create_object(session, {
        CKA.CLASS: ulong(CKO.SECRET_KEY), CKA.KEY_TYPE: ulong(CKK.AES), CKA.TOKEN: b"\\1", CKA.PRIVATE: b"\\1",
        CKA.LABEL: b"wrapper", CKA.VALUE: b"k" * 32, CKA.WRAP: b"\\1", CKA.START_DATE: b"20260102",
        CKA.WRAP_TEMPLATE: [(CKA.KEY_TYPE, ulong(CKK.AES)), (CKA.LABEL, b"goes")],
        CKA.ALLOWED_MECHANISMS: ulong(CKM.AES_KEY_WRAP),
    })
"""

# Run with ours: which keys this one wraps.
_WRAPS = """
import sys
import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism
from ptkc.vendor import lib
library = lib()
with library.get_token(token_label="first").open(rw=True, user_pin=sys.argv[1]) as session:
    wrapper = next(iter(session.get_objects({Attribute.LABEL: "wrapper"})))
    print(wrapper[Attribute.START_DATE], wrapper[Attribute.LOCAL], wrapper[Attribute.NEVER_EXTRACTABLE])
    for label in ("goes", "stays"):
        readable = {Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False}
        key = session.generate_key(KeyType.AES, 256, label=label, template=readable)
        try:
            print(label, len(wrapper.wrap_key(key, mechanism=Mechanism.AES_KEY_WRAP)))
        except pkcs11.PKCS11Error as error:
            print(label, type(error).__name__)
"""


def _softhsm2() -> str:
    """Return the path of SoftHSM2's module; the test is skipped without its program, in CI it fails."""
    program("softhsm2-util")
    found = sorted(Path("/usr").glob("lib*/**/libsofthsm2.so"))
    return str(found[0])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], str]:
    """Make a token of SoftHSM2 with keys; give its directory of tokens, its environment and its module."""
    directory = tmp_path_factory.mktemp("softhsm2")
    module = _softhsm2()
    tokens = directory / "tokens"
    tokens.mkdir()
    (directory / "softhsm2.conf").write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n", encoding="utf-8")
    environment = {**clean_environment(directory), "SOFTHSM2_CONF": str(directory / "softhsm2.conf")}
    run(
        "softhsm2-util", "--init-token", "--free", "--label", "first", "--pin", _PIN, "--so-pin", _SO_PIN,
        env=environment,
    )  # fmt: skip
    tool = ("pkcs11-tool", "--module", module, "--token-label", "first", "--login", "--pin", _PIN)
    for kind, number, label in _KEYS:
        run(*tool, "--keypairgen", "--key-type", kind, "--id", number, "--label", label, env=environment)
    run(*tool, "--keygen", "--key-type", "AES:32", "--id", "04", "--label", "aes", env=environment)
    note = directory / "note"
    note.write_text("a private note", encoding="utf-8")
    run(*tool, "--write-object", note, "--type", "data", "--label", "note", "--private", env=environment)
    run(sys.executable, "-P", "-c", _TEMPLATED, module, _PIN, env=environment)
    return tokens, environment, module


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a machine without any HSM of ours."""
    return {**clean_environment(tmp_path), **module_under_test().settings(tmp_path), "PTKC_SO_PIN": _SO_PIN}


def _digest(directory: Path) -> dict[str, bytes]:
    """Return what is in each file below a directory."""
    return {str(path): hashlib.sha256(path.read_bytes()).digest() for path in directory.rglob("*") if path.is_file()}


def _import(
    directory: Path, environment: dict[str, str], *words: str, pin: str = _PIN, expect: int = 0
) -> str:
    """Import with a PIN and return what the command said."""
    return run(
        _PTKC, "import", "softhsm2", directory, *words, env={**environment, "PTKC_USER_PIN": pin}, expect=expect
    )


def _objects(module: str, environment: dict[str, str]) -> list[str]:
    """Return what pkcs11-tool shows of all objects, without what a token says itself, sorted."""
    shown = run(
        "pkcs11-tool", "--module", module, "--token-label", "first", "--login", "--pin", _PIN, "-O", env=environment
    )
    silent = ("Using slot", "Unique ID", "Access", "Data object")  # the last with its handle
    return sorted(line.strip() for line in shown.splitlines() if not line.strip().startswith(silent))


def _signature(module: str, environment: dict[str, str], number: str, mechanism: str, where: Path) -> bytes:
    """Return the signature of a fixed message with a key."""
    (where / "message").write_bytes(b"x" * 32)
    run(
        "pkcs11-tool", "--module", module, "--token-label", "first", "--login", "--pin", _PIN, "--sign", "--id", number,
        "--mechanism", mechanism, "--input-file", where / "message", "--output-file", where / "signature",
        env=environment,
    )  # fmt: skip
    return (where / "signature").read_bytes()


def test_an_imported_token_shows_and_signs_the_same(source, environment, tmp_path):
    """Labels, ids and usages are the source's, deterministic signatures are equal, and it is untouched."""
    tokens, before, module = source
    unchanged = _digest(tokens)
    assert "9 of 9 objects of first are in slot 0" in _import(tokens, environment)
    assert unchanged == _digest(tokens)
    ours = module_under_test().path
    assert _objects(module, before) == _objects(ours, environment)
    for number, mechanism in (("01", "SHA256-RSA-PKCS"), ("03", "EDDSA")):
        signed = _signature(module, before, number, mechanism, tmp_path)
        assert signed == _signature(ours, environment, number, mechanism, tmp_path)


def test_an_imported_ec_key_signs_for_the_sources_public_key(source, environment, tmp_path):
    """What ours signs with the imported key, SoftHSM2 verifies with the one it has."""
    tokens, before, module = source
    _import(tokens, environment)
    _signature(module_under_test().path, environment, "02", "ECDSA", tmp_path)
    said = run(
        "pkcs11-tool", "--module", module, "--token-label", "first", "--verify", "--id", "02", "--mechanism", "ECDSA",
        "--input-file", tmp_path / "message", "--signature-file", tmp_path / "signature", env=before,
    )  # fmt: skip
    assert "Signature is valid" in said


def test_templates_and_allowed_mechanisms_come_along(source, environment):
    """The imported wrapping key wraps what its CKA_WRAP_TEMPLATE allows and nothing else; it says it was outside."""
    _import(source[0], environment)
    said = run(sys.executable, "-P", "-c", _WRAPS, _PIN, env=environment).splitlines()
    assert ["2026-01-02 False False", "goes 40", "stays KeyHandleInvalid"] == said


def _as_database(token: Path, made: Path) -> None:
    """Write a token of the file store as SoftHSM2's other store has it: tables, one for each kind of attribute."""
    made.mkdir(parents=True)
    tables = {1: "boolean", 2: "integer", 3: "binary", 4: "array", 5: "binary"}
    with closing(sqlite3.connect(made / "sqlite3.db")) as connection:
        connection.execute("CREATE TABLE object (id INTEGER PRIMARY KEY AUTOINCREMENT)")
        for table in sorted(set(tables.values())):
            connection.execute(f"CREATE TABLE attribute_{table} (value, type INTEGER, object_id INTEGER, id INTEGER)")
        paths = sorted(token.glob("*.object"), key=lambda path: path.name != "token.object")
        for number, path in enumerate(paths, 1):
            connection.execute("INSERT INTO object VALUES (?)", (number,))
            for kind, attribute, value in _attributes(path.read_bytes()):
                sql = f"INSERT INTO attribute_{tables[kind]} VALUES (?, ?, ?, NULL)"
                connection.execute(sql, (value, attribute, number))
        connection.commit()


def _attributes(data: bytes, place: int = 8, *, nested: bool = False) -> list[tuple[int, int, object]]:
    """Return (kind, attribute, value) of an object file, values as a column has them."""
    found = []
    while place < len(data):
        attribute, kind = struct.unpack_from(">QQ", data, place)
        place += 16
        if kind == 1:
            value, size = data[place], 1
        elif kind == 2:
            value, size = struct.unpack_from(">q", data, place)[0], 8
        else:
            length = struct.unpack_from(">Q", data, place)[0]
            size = 8 + length * (8 if kind == 5 else 1)
            value = data[place + 8 : place + size]
            if kind == 5:
                value = struct.pack(f"={length}Q", *struct.unpack(f">{length}Q", value))
            if kind == 4:
                value = b"".join(_packed(*each) for each in _attributes(value, 0, nested=True))
        found.append((kind, attribute, value))
        place += size
    return found


def _packed(kind: int, attribute: int, value: object) -> bytes:
    """Return an attribute of a template as the database has it."""
    if kind == 3:
        return struct.pack("=QIQ", attribute, kind, len(value)) + value
    body = bytes([value]) if kind == 1 else struct.pack("=q", value)
    return struct.pack("=QI", attribute, kind) + body


def test_a_token_in_a_database_is_imported_as_one_in_files(source, environment, tmp_path):
    """SoftHSM2's SQLite store (which Debian's is built without) gives the same objects; nothing is left beside it."""
    (token,) = source[0].iterdir()
    made = tmp_path / "tokens" / token.name
    _as_database(token, made)
    assert "9 of 9 objects of first" in _import(tmp_path / "tokens", environment)
    assert ["sqlite3.db"] == os.listdir(made)
    ours = module_under_test().path
    assert _objects(source[2], source[1]) == _objects(ours, environment)
    said = run(sys.executable, "-P", "-c", _WRAPS, _PIN, env=environment).splitlines()
    assert ["2026-01-02 False False", "goes 40", "stays KeyHandleInvalid"] == said


def test_what_cannot_be_done_is_said_before_anything_is_changed(source, environment, tmp_path):
    """A wrong PIN, no token, an unknown one, a taken slot, damage: one error, a hint, and no token is made."""
    tokens, _, _ = source
    assert "the user PIN of the SoftHSM2 token first is another one" in _import(
        tokens, environment, pin="4321", expect=1
    )
    assert "there is no SoftHSM2 token in" in _import(tmp_path, environment, expect=1)
    assert "No such file or directory" in _import(tmp_path / "nowhere", environment, expect=1)
    assert "there is no SoftHSM2 token other" in _import(tokens, environment, "--token", "other", expect=1)
    assert "there is no slot 7" in _import(tokens, environment, "--slot", "7", expect=1)
    assert "is the Admin token" in _import(tokens, environment, "--slot", "1", expect=1)
    (token,) = tokens.iterdir()
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in token.glob("*.object"):
        (copy / path.name).write_bytes(path.read_bytes()[:-3])
    assert "is damaged, or not of SoftHSM2: it ends too soon" in _import(copy, environment, expect=1)
    assert not (tmp_path / "data").exists()


def test_a_second_import_takes_a_new_slot(source, environment):
    """With no uninitialised slot left, the Administrator's PIN makes one; a slot that is taken is refused by name."""
    tokens, _, _ = source
    _import(tokens, environment)
    assert "initialised already" in _import(tokens, environment, "--slot", "0", expect=1)
    assert "is not initialised" in _import(tokens, environment, expect=1)
    both = _administered(environment)
    assert "objects of first are in slot 1" in _import(tokens, both, "--token", "first")


def _administered(environment: dict[str, str], *flags: str) -> dict[str, str]:
    """Set up the Admin token, then flags; return the environment with its PINs."""
    both = {**environment, "PTKC_ADMIN_PIN": "administrator", "PTKC_ASO_PIN": "aso-pin-of-it"}
    for words in (("-a0", "--yes"), *((flag, "--yes") for flag in flags)):
        run(str(Path(sys.executable).with_name("ctconf")), *words, env=both)
    return both


def test_a_pin_that_the_flags_find_too_short_is_replaced_first(source, environment):
    """Under Increased Security another PIN is asked for, and without one no token is made; the slot is the same."""
    tokens, _, _ = source
    both = _administered(environment, "-fi")
    for _ in range(2):
        said = _import(tokens, both, expect=1)
        assert "a PIN has 8 to 32 characters here: another one than this is needed" in said
        assert "slot 0 has a token now" not in said
    command = (_PTKC, "import", "softhsm2", tokens)
    said = run(*command, env={**both, "PTKC_USER_PIN": _PIN}, data=b"short\nshort\n", expect=1)
    assert "hint: a PIN has 8 to 32 characters" in said
    said = run(*command, env={**both, "PTKC_USER_PIN": _PIN}, data=b"12345678\n12345678\n", expect=None)
    assert "objects of first are in slot 0" in said


# The command, but C_InitPIN gets a PIN that the HSM refuses when C_InitToken is done.
_INTERRUPTED = """
import sys
from ptkc.tools import importing, ptkc
whole = importing.init_admin
importing.init_admin = lambda slot, so_pin, pin, label: whole(slot, so_pin, "abc", label)
sys.argv[0] = "ptkc"
ptkc.main()
"""


def test_what_is_interrupted_says_in_what_state_the_token_is(source, environment):
    """When C_InitPIN fails there is a token without user PIN: said with what to do, before the error."""
    said = run(
        sys.executable, "-P", "-c", _INTERRUPTED, "import", "softhsm2", source[0],
        env={**environment, "PTKC_USER_PIN": _PIN}, expect=1,
    )  # fmt: skip
    assert "slot 0 has a token now (no user PIN), with some of the objects or none: `ctconf -d0` deletes" in said
    assert "error: CKR_PIN_LEN_RANGE" in said


def test_an_object_that_the_hsm_refuses_is_named_and_the_others_come(source, environment, tmp_path):
    """A key of a type that we do not have is left out with its return code; the exit code is 1."""
    (token,) = source[0].iterdir()
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in token.glob("*.object"):
        (copy / path.name).write_bytes(path.read_bytes())
    rows = ((CKA.CLASS, 2, CKO.PUBLIC_KEY), (CKA.KEY_TYPE, 2, CKK.GOSTR3410), (CKA.TOKEN, 1, 1), (CKA.PRIVATE, 1, 0))
    data = b"".join(struct.pack(">QQ", *row[:2]) + struct.pack(">Q" if row[1] == 2 else ">B", row[2]) for row in rows)
    (copy / "gost.object").write_bytes(bytes(8) + data)
    said = _import(copy, environment, expect=1)
    assert "left out: gostr3410 public key: CKR_" in said
    assert "9 of 10 objects of first are in slot 0" in said


def _neighbours(source: Path, directory: Path) -> Path:
    """Copy the token to a directory of tokens; return the path of another one there, which is yet to be made."""
    (token,) = source.iterdir()
    shutil.copytree(token, directory / "tokens" / token.name)
    other = directory / "tokens" / "other"
    other.mkdir()
    return other


def test_a_damaged_neighbour_is_passed_over(source, environment, tmp_path):
    """It is said which one; without --token, or with that of none there is, it may be the one: nothing is made."""
    other = _neighbours(source[0], tmp_path)
    (other / "token.object").touch()
    reason = f"{other} is damaged, or not of SoftHSM2: it ends too soon"
    for words in ((), ("--token", "second")):
        assert f"error: {reason}" in _import(other.parent, environment, *words, expect=1)
    assert not (tmp_path / "data").exists()
    said = _import(other.parent, environment, "--token", "first")
    assert f"passed over: {reason}" in said
    assert "9 of 9 objects of first are in slot 0" in said
