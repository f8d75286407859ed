"""`ctident` on HSMs: its flows, what it writes, what it refuses and why, and that it can be run again.

The procedures in their order, with their literal commands, are the scripts of tests/cli/procedures.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from machine import Machine
from processes import program

from ptkc.tools.ctident import parser

_DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def initialised(tmp_path_factory):
    """Make three HSMs whose Admin tokens are initialised; tests copy them."""
    return Machine(tmp_path_factory.mktemp("initialised")).add("1197", "1111", "1310")


@pytest.fixture(scope="module")
def certified(initialised, tmp_path_factory):
    """Make 1197 a CA that has certified all three; tests copy them."""
    made = initialised.copy(tmp_path_factory.mktemp("certified") / "home").knowing_pins()
    made.ctident("gen-owner", "sn:1197")
    made.ctident("gen-key", "sn:1197", "all")
    return made


@pytest.fixture
def three(initialised, tmp_path):
    """Return three initialised HSMs; PINs are asked for."""
    return initialised.copy(tmp_path / "home")


@pytest.fixture
def owned(certified, tmp_path):
    """Return three HSMs under one owner; their PINs are in the environment."""
    return certified.copy(tmp_path / "home").knowing_pins()


@pytest.fixture
def other(initialised, tmp_path):
    """Return another client machine with its own three HSMs, of the same serial numbers; PINs are in variables."""
    return initialised.copy(tmp_path / "other").knowing_pins()


def _hints(said):
    return [line for line in said.err.splitlines() if "hint: " in line]


def test_every_command_is_described():
    """docs/ctident.md has a row for each."""
    commands = next(action.choices for action in parser()._actions if action.dest == "==SUPPRESS==" or action.choices)
    page = (_DOCS / "ctident.md").read_text()
    assert [] == [name for name in commands if f"| `{name} " not in page]


# Certificates


def test_chain_is_accepted_by_openssl_and_a_foreign_one_is_not(owned, other):
    """`openssl verify` knows nothing of us."""
    program("openssl")
    other.ctident("gen-selfsigned", "sn:1111")
    owner, identity = owned.store / "Owner_POC.crt", owned.store / "HSM_1111.crt"
    foreign = other.store / "HSM_1111.crt"
    assert owned.openssl_accepts(owner, identity)
    assert owned.openssl_accepts(owner, owner)
    assert owned.openssl_accepts(foreign, foreign)
    assert not owned.openssl_accepts(owner, foreign)


def test_exported_certificates_are_what_cryptography_verifies(owned):
    """The chain as another library sees it: names, signature, serial number."""
    owner, identity = (
        x509.load_pem_x509_certificate((owned.store / name).read_bytes()) for name in ("Owner_POC.crt", "HSM_1310.crt")
    )
    identity.verify_directly_issued_by(owner)
    assert "1310" in identity.subject.rfc4514_string()
    assert owner.not_valid_after_utc >= identity.not_valid_after_utc


# gen-owner and gen-key


def test_pins_are_asked_for_in_the_order_of_the_text(three):
    """The CA's first, then each HSM's in turn, each once, whatever the list's order."""
    three.ctident("gen-owner", "0", typed="admin-1197")
    said = three.ctident("gen-key", "0", "sn:1310,sn:1111,0", typed="admin-1197 admin-1310 admin-1111")
    prompts = [line for line in said.err.splitlines() if "PIN" in line]
    assert ["Admin PIN of HSM 1197:", "Admin PIN of HSM 1310:", "Admin PIN of HSM 1111:"] == prompts
    assert ["owner"] * 3 == [hsm["issuer"]["kind"] for hsm in three.listed()]
    assert three.hsm("1197")["poc_pending"] is None


def test_owner_is_pending_until_its_own_pic_is_signed(three):
    """Nobody else is certified before."""
    three.knowing_pins()
    three.ctident("gen-owner", "sn:1197")
    assert three.hsm("1197")["poc"] is None
    assert three.hsm("1197")["poc_pending"]["subject"]
    said = three.ctident("gen-key", "sn:1197", "sn:1111", code=1)
    assert "HSM 1197: its POC is pending" in said.err
    assert "gen-key sn:1197 sn:1197" in said.err
    three.ctident("gen-key", "sn:1197", "sn: 1197")
    assert three.hsm("1197")["ca"]
    three.ctident("gen-key", "sn:", "1197", "sn:", "1111,1310")
    assert ["1197"] * 3 == [hsm["issuer"]["serial"] for hsm in three.listed()]


def test_key_from_an_hsm_that_is_no_ca_is_refused(three):
    """Before any PIN is asked for."""
    said = three.ctident("gen-key", "1", "all", code=1)
    assert "ctident: error: HSM 1111: it is no CA: it has no POK\n" in said.err
    assert "PIN" not in said.err


def test_existing_identity_is_overwritten_only_after_confirmation(owned):
    """A no leaves that HSM as it is, and the others go on."""
    before = owned.listed()
    said = owned.ctident("gen-key", "0", "1,2", typed="n y", code=1)
    assert "HSM 1111 already has a PIK/PIC: overwrite it? [y/N]" in said.err
    assert "error: HSM 1111: left as it is" in said.err
    after = owned.listed()
    assert before[1]["pic"] == after[1]["pic"]
    assert before[2]["pic"] != after[2]["pic"]
    owned.ctident("gen-key", "--yes", "0", "1")
    assert before[1]["pic"] != owned.listed()[1]["pic"]


def test_new_owner_waits_beside_the_former_one_and_replaces_it(owned):
    """The former POC and the PICs under it are in force while a new one is pending; then they are a former owner's."""
    owner, pending = owned.store / "Owner_POC.crt", owned.store / "Owner_POC-pending.crt"
    former = owner.read_bytes()
    owned.ctident("gen-owner", "0")
    waiting = pending.read_bytes()
    assert former == owner.read_bytes()
    assert {"owner"} == {hsm["issuer"]["kind"] for hsm in owned.listed()}
    owned.ctident("gen-key", "0", "1", "--yes")  # without the CA in the list the former POK signs
    assert "owner" == owned.hsm("1111")["issuer"]["kind"]

    owned.ctident("gen-key", "0", "0", typed="y n", code=1)
    assert former == owner.read_bytes()
    assert owned.hsm("1197")["poc_pending"]

    said = owned.ctident("gen-key", "0", "1,0", typed="y y y")
    assert f"{owner} is that of" in said.err
    assert waiting == owner.read_bytes()
    assert not pending.exists()
    kinds = {hsm["serial"]: hsm["issuer"]["kind"] for hsm in owned.listed()}
    assert {"1197": "owner", "1111": "owner", "1310": "former owner"} == kinds
    assert "former owner 1197" in owned.ctident("list").out


def test_store_of_a_client_that_was_killed_before_it_knew_its_new_owner_is_mended(owned):
    """The HSM has established the POC that still waits in the store: the next command asks to go on."""
    owner, pending = owned.store / "Owner_POC.crt", owned.store / "Owner_POC-pending.crt"
    former = owner.read_bytes()
    owned.ctident("gen-owner", "0")
    waiting = pending.read_bytes()
    owned.ctident("gen-key", "0", "0", "--yes")
    owner.write_bytes(former)
    pending.write_bytes(waiting)
    said = owned.ctident("fetch-certs", "0", typed="y")
    assert "replace it by that of" in said.err
    assert (waiting, False) == (owner.read_bytes(), pending.exists())


def test_pending_owner_is_replaced_after_confirmation_only(three):
    """Each gen-owner makes another key."""
    three.knowing_pins()
    three.ctident("gen-owner", "0")
    first = (three.store / "Owner_POC.crt").read_bytes()
    three.ctident("gen-owner", "0", typed="n", code=1)
    assert first == (three.store / "Owner_POC.crt").read_bytes()
    three.ctident("gen-owner", "0", typed="y")
    assert first != (three.store / "Owner_POC.crt").read_bytes()
    assert ["Owner_POC.crt"] == os.listdir(three.store)


def test_third_owner_belongs_into_another_store(owned):
    """One POC a client, and one that waits."""
    owned.ctident("gen-owner", "1")
    said = owned.ctident("gen-owner", "2", code=1)
    assert "ET_PTKC_GENERAL_CERT_STORE" in said.err
    owned.ctident("gen-owner", "2", ET_PTKC_GENERAL_CERT_STORE=str(owned.home / "second"))
    assert ["Owner_POC.crt"] == os.listdir(owned.home / "second")


def test_keys_of_another_owner_than_the_clients_are_refused(owned, other):
    """With a hint to use another store, before any PIN."""
    other.ctident("gen-owner", "0")
    other.ctident("gen-key", "0", "0")
    shutil.copy(other.store / "Owner_POC.crt", owned.store / "Owner_POC.crt")
    for command in (("gen-key", "0", "1"), ("fetch-certs", "1")):
        said = owned.ctident(*command, code=1)
        assert "is another owner's" in said.err
        assert "ET_PTKC_GENERAL_CERT_STORE" in said.err


# The off-line CA


@pytest.fixture
def requested(owned, other):
    """Return (PIC, POC) files: 1111 of the other machine has asked, and the CA of the first has signed."""
    said = other.ctident("gen-csr", "sn:1111")
    assert f"request written to {other.store / 'HSM_1111.csr'}" in said.out
    assert other.hsm("1111")["pik_pending"]
    owned.sign(other.store / "HSM_1111.csr", owned.home / "pic.pem")
    return owned.home / "pic.pem", owned.store / "Owner_POC.crt"


def test_signed_request_becomes_the_identity(other, requested):
    """gen-csr here, the POK there, store-poc and store-pic here; options glued or apart."""
    pic, poc = requested
    other.ctident("store-poc", f"-p{poc}", "1")
    other.ctident("store-pic", "-p", pic, "sn:1111")
    hsm = other.hsm("1111")
    assert ("owner", "1197", False) == (hsm["issuer"]["kind"], hsm["issuer"]["serial"], hsm["pik_pending"])
    assert pic.read_bytes() == (other.store / "HSM_1111.crt").read_bytes()
    assert poc.read_bytes() == (other.store / "Owner_POC.crt").read_bytes()
    again = other.ctident("store-pic", "-p", pic, "sn:1111")
    assert "has this PIC already" in again.out
    assert "has this POC already" in other.ctident("store-poc", "-p", poc, "1").out


def test_pic_without_the_owners_poc_is_refused(other, requested):
    """The POC comes first."""
    said = other.ctident("store-pic", "-p", requested[0], "1", code=1)
    assert "signed by an owner whose POC this HSM does not have" in said.err
    assert "store-poc" in said.err


def test_pic_of_another_hsm_or_key_is_refused(other, requested):
    """Its subject and its key must be this HSM's."""
    pic, poc = requested
    other.ctident("store-poc", f"-p{poc}", "all")
    assert "is the PIC of HSM 1111" in other.ctident("store-pic", "-p", pic, "2", code=1).err
    other.ctident("gen-csr", "1", "--yes")
    assert "does not match the PIK" in other.ctident("store-pic", "-p", pic, "1", code=1).err


def test_files_that_are_no_certificates_of_that_kind_are_refused(other, requested):
    """A PIC is no POC, a POC no PIC, and text is neither."""
    pic, poc = requested
    assert "is no owner certificate" in other.ctident("store-poc", "-p", pic, "1", code=1).err
    assert "is an owner certificate" in other.ctident("store-pic", "-p", poc, "1", code=1).err
    (other.home / "text").write_text("hello\n")
    assert "text" in other.ctident("store-pic", "-ptext", "1", code=1).err
    assert "absent: No such file" in other.ctident("store-poc", "-p", "absent", "1", code=1).err


def test_der_is_read_as_well(other, requested):
    """Other programs export it."""
    poc = other.home / "poc.der"
    poc.write_bytes(x509.load_pem_x509_certificate(requested[1].read_bytes()).public_bytes(Encoding.DER))
    assert "POC stored (established)" in other.ctident("store-poc", "-p", poc, "1").out


def test_owner_certificate_is_pending_where_a_pic_depends_on_another(other, requested):
    """It comes into force with a PIC under it."""
    other.ctident("gen-owner", "0", ET_PTKC_GENERAL_CERT_STORE=str(other.home / "own"))
    other.ctident("gen-key", "0", "0,1", ET_PTKC_GENERAL_CERT_STORE=str(other.home / "own"), typed="y y")
    said = other.ctident("store-poc", "-p", requested[1], "1")
    assert "POC-Pending until a PIC under it is stored" in said.out
    assert "POC-Pending" in other.ctident("list", "1").out
    assert "POC-Pending" in other.ctident("trust", "0", "1", code=1).err


# Self-signed, fetched


def test_self_signed_identities_of_several_hsms(three):
    """Each HSM's PIN in turn; the PICs go to the store."""
    three.ctident("gen-selfsigned", "all", typed="admin-1197 admin-1111 admin-1310")
    assert ["self"] * 3 == [hsm["issuer"]["kind"] for hsm in three.listed()]
    assert ["HSM_1111.crt", "HSM_1197.crt", "HSM_1310.crt"] == sorted(os.listdir(three.store))


def test_new_client_fetches_the_chain_without_a_pin(owned):
    """Again it changes nothing; a file that holds anything else is not overwritten unasked."""
    new = owned.home / "new"
    variables = {"ET_PTKC_GENERAL_CERT_STORE": str(new)}
    for _ in range(2):
        assert "PIN" not in owned.ctident("fetch-certs", "all", **variables).err
    assert ["HSM_1111.crt", "HSM_1197.crt", "HSM_1310.crt", "Owner_POC.crt"] == sorted(os.listdir(new))
    (new / "HSM_1111.crt").write_bytes((new / "HSM_1310.crt").read_bytes())
    said = owned.ctident("fetch-certs", "0,1", code=1, **variables)
    assert "holds something different: overwrite it?" in said.err
    assert (new / "HSM_1310.crt").read_bytes() == (new / "HSM_1111.crt").read_bytes()


def test_hsm_without_identity_has_nothing_to_fetch(three):
    """It is named, and how to get one."""
    said = three.ctident("fetch-certs", "1", code=1)
    assert "HSM 1111: it has no PIC" in said.err
    assert _hints(said)


# Trust


def test_three_hsms_of_the_text_and_their_picture(owned, tmp_path):
    """The vendor's example; docs/trust.svg is what `ctident graph` draws of it."""
    owned.ctident("trust", "sn:1197", "sn:1111,sn:1310")
    assert {"1197": [], "1111": ["1197"], "1310": ["1197"]} == owned.trusts()
    owned.ctident("trust", "sn:1111,sn:1310", "sn:1197")
    assert {"1197": ["1111", "1310"], "1111": ["1197"], "1310": ["1197"]} == owned.trusts()
    owned.ctident("graph", "--svg", tmp_path / "trust.svg")
    picture = (tmp_path / "trust.svg").read_text()
    assert (_DOCS / "trust.svg").read_text() == picture
    assert picture == owned.ctident("graph", "all", "--svg", "-").out
    assert owned.ctident("graph").out in (_DOCS / "ctident.md").read_text()
    trust = json.loads(owned.ctident("graph", "--json").out)["trust"]
    assert 4 == len([edge for edge in trust if edge["in_use"]])
    owned.ctident("remove", "sn:1197", "sn:1111,sn:1310")
    assert {"1197": [], "1111": ["1197"], "1310": ["1197"]} == owned.trusts()
    owned.ctident("remove", "all", "all")
    assert {"1197": [], "1111": [], "1310": []} == owned.trusts()


def test_all_trust_all_but_nobody_itself_and_again_is_nothing(owned):
    """The second time no PIN is needed."""
    owned.ctident("trust", "all", "all")
    assert {"1197": ["1111", "1310"], "1111": ["1197", "1310"], "1310": ["1111", "1197"]} == owned.trusts()
    without = {name: "" for name in owned.environment if name.startswith("PTKC_ADMIN_PIN")}
    assert "already" in owned.ctident("trust", "all", "all", **without).out
    assert "cannot trust itself" in owned.ctident("trust", "1", "1", code=1).err


def test_hsms_of_different_owners_do_not_trust_each_other(owned):
    """Self-signed or under a POK, not both; the pairs that can are made all the same."""
    owned.ctident("gen-selfsigned", "--yes", "2")
    said = owned.ctident("trust", "all", "all", code=1)
    assert "HSM 1111: its PIC is signed by POK" in said.err
    assert "that of HSM 1310 is self-signed" in said.err
    assert {"1197": ["1111"], "1111": ["1197"], "1310": []} == owned.trusts()


def test_pic_of_a_former_owner_or_pending_owner_is_not_trusted(owned):
    """All PICs involved are signed by the current POK."""
    owned.ctident("gen-owner", "0")
    said = owned.ctident("trust", "1", "0", code=1)
    assert "HSM 1197: it has a certificate in the POC-Pending state" in said.err
    owned.ctident("gen-key", "0", "0,1", "--yes")
    said = owned.ctident("trust", "0,2", "1", code=1)
    assert "HSM 1310: its PIC is signed by a former POK of HSM 1197" in said.err
    assert {"1197": [], "1111": ["1197"], "1310": []} == owned.trusts()


def test_new_identity_needs_new_trust(owned):
    """An older PIC that is still held is replaced by `trust`, and said meanwhile."""
    owned.ctident("trust", "0", "1")
    owned.ctident("gen-key", "0", "0", "--yes")
    assert "1111 (by a former PIC)" in owned.ctident("list", "0").out
    owned.ctident("trust", "0", "1")
    assert [{"serial": "1111", "current": True}] == owned.hsm("1197")["trusted_by"]


def test_hsm_that_is_gone_is_forgotten_by_its_serial(owned):
    """`remove <one> all` forgets those that are away, too; `all all` leaves them."""
    owned.ctident("trust", "all", "all")
    owned.tool("ptkc", "hsm", "remove", "1310", "--yes")
    assert ["1197", "1111"] == [hsm["serial"] for hsm in owned.listed()]
    owned.ctident("remove", "all", "all")
    assert {"1197": ["1310"], "1111": ["1310"]} == owned.trusts()
    owned.ctident("remove", "0", "sn:1310,sn:9999")
    owned.ctident("remove", "1", "all")
    assert {"1197": [], "1111": []} == owned.trusts()
    assert "1197: does not trust 1310" in owned.ctident("remove", "0", "sn:1310").out


# Prerequisites, wrong PINs, wrong arguments


def test_hsm_without_administrator_is_refused_before_any_pin(three):
    """With the command that helps; the others go on."""
    three.add("1400", initialise=False)
    for command in (("gen-owner", "3"), ("gen-csr", "3"), ("gen-selfsigned", "3"), ("remove", "3", "all")):
        said = three.ctident(*command, code=1)
        assert "HSM 1400: the Admin token is not initialised" in said.err
        assert "hint: `ctconf -a3`" in said.err
        assert "PIN of" not in said.err
    said = three.ctident("gen-selfsigned", "2,3", typed="admin-1310", code=1)
    assert "HSM 1310: PIK and self-signed PIC made" in said.out


@pytest.mark.parametrize(("offset", "way"), [("600", "ahead of"), ("-600", "behind")])
def test_hsm_whose_clock_is_off_is_refused_before_any_pin(three, offset, way):
    """Certificates carry times; a minute is tolerated."""
    three.tool("ptkc", "hsm", "clock", "1111", "--offset", offset)
    said = three.ctident("gen-selfsigned", "all", typed="admin-1197 admin-1310", code=1)
    assert f"seconds {way} the client's" in said.err
    assert "hint: `ctconf -a1 -t` sets it" in said.err
    assert "(off)" in three.ctident("list").out
    assert [True, False, True] == [bool(hsm["pic"]) for hsm in three.listed()]


def test_wrong_pin_is_named_and_the_others_go_on(three):
    """CKR_PIN_INCORRECT, and after several of them CKR_PIN_LOCKED with what to do."""
    said = three.ctident("gen-selfsigned", "0,1", typed="wrong-pin admin-1111", code=1)
    assert "error: HSM 1197: Admin PIN refused: CKR_PIN_INCORRECT" in said.err
    assert "HSM 1111: PIK and self-signed PIC made" in said.out
    for _ in range(3):
        said = three.ctident("gen-selfsigned", "0", typed="wrong-pin", code=1)
    assert "CKR_PIN_LOCKED" in said.err
    assert "try again later" in said.err
    assert "wrong-pin" not in said.err


def test_end_of_input_is_one_error_and_no_loop(three):
    """Nothing was done for those who had a PIN, either: they had all to be asked first."""
    said = three.ctident("gen-selfsigned", "all", typed="admin-1197", code=1)
    assert 1 == said.err.count("error: ")
    assert "no Admin PIN of HSM 1111: the input is at its end" in said.err
    assert "PTKC_ADMIN_PIN" in said.err
    assert [None] * 3 == [hsm["pic"] for hsm in three.listed()]


_OLD = """
from ptkc.vendor import devices, generate_identity, lib
with devices(lib())[1].admin.open(rw=True, user_pin="admin-1111") as session:
    generate_identity(session, self_sign=True)
"""


def test_expired_identity_is_shown_and_used_for_nothing(three):
    """An HSM that made it when its clock was 13 years behind."""
    three.tool("ptkc", "hsm", "clock", "1111", "--offset", str(-13 * 365 * 86400))
    three.script(_OLD)
    three.tool("ptkc", "hsm", "clock", "1111", "--sync")
    three.knowing_pins()
    three.ctident("gen-selfsigned", "0,2")
    assert "expired 20" in three.ctident("list", "1").out
    assert three.hsm("1111")["pic"]["expired"]
    assert "its PIC has expired" in three.ctident("trust", "0", "1", code=1).err
    assert "its PIC has expired" in three.ctident("trust", "1", "0", code=1).err
    assert "its PIC has expired" in three.ctident("fetch-certs", "1", code=1).err


def _owner(directory, begins, lasts):
    """Write a self-made owner certificate, as `openssl req -x509` would make it."""
    key = ec.generate_private_key(ec.SECP521R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x"), x509.NameAttribute(NameOID.SERIAL_NUMBER, "1197")])
    begin = dt.datetime.now(dt.UTC) + dt.timedelta(days=begins)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 5, begin, begin + dt.timedelta(days=lasts))
    made = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(key, SHA512())
    (directory / "poc.pem").write_bytes(made.public_bytes(Encoding.PEM))
    return directory / "poc.pem"


@pytest.mark.parametrize("begins", [-20, 20])
def test_owner_certificate_that_is_not_valid_now_is_refused(three, begins):
    """Its time is over, or has not come."""
    said = three.ctident("store-poc", "-p", _owner(three.home, begins, 10), "all", code=1)
    assert "has expired or is not valid yet: it is valid from 20" in said.err
    assert "PIN" not in said.err


def test_broken_file_in_the_store_is_named_and_listing_goes_on(owned):
    """Nothing is guessed from it, nothing written over it."""
    (owned.store / "Owner_POC.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    said = owned.ctident("gen-key", "0", "1", code=1)
    assert f"{owned.store / 'Owner_POC.crt'}: the PEM text has no end" in said.err
    assert "1197" in owned.ctident("list").out


_LOOKALIKE = """
from pkcs11 import Attribute, CertificateType, ObjectClass
from pkcs11.util.x509 import decode_x509_certificate
from ptkc.vendor import devices, fetch_certificate, lib
device = devices(lib())[0]
der = fetch_certificate(0, Attribute.LOCAL_IDENTITY_CERT)
with device.admin.open(rw=True, user_pin="admin-1197") as session:
    template = {**decode_x509_certificate(der), Attribute.TOKEN: True, Attribute.PRIVATE: False}
    for label in ("POC-Pending", "PIC 1310"):
        session.create_object({**template, Attribute.LABEL: label})
"""


def test_ordinary_objects_with_the_labels_are_no_identity(owned):
    """Anybody who may write to the Admin token can give objects any label."""
    owned.script(_LOOKALIKE)
    hsm = owned.hsm("1197")
    assert (None, []) == (hsm["poc_pending"], hsm["trusts"])


def test_pin_of_one_hsm_comes_before_that_of_all(three):
    """PTKC_ADMIN_PIN_<serial> wins."""
    three.ctident("gen-selfsigned", "0", PTKC_ADMIN_PIN="wrong-one", PTKC_ADMIN_PIN_1197="admin-1197")
    three.ctident("gen-selfsigned", "1", PTKC_ADMIN_PIN="admin-1111")


@pytest.mark.parametrize("device", ["7", "sn:9999", "1111", "0,", "x"])
def test_device_that_is_not_there_is_an_error_with_a_hint(three, device):
    """Exit code 1: the arguments could have been right."""
    said = three.ctident("gen-csr", device, code=1)
    assert 1 == said.err.count("error: ")
    assert _hints(said)


@pytest.mark.parametrize("store", ["file", "file/below"])
def test_store_that_cannot_be_written_is_an_error_before_anything_else(three, store):
    """One line that names it, and nothing done on any HSM."""
    (three.home / "file").write_text("")
    said = three.ctident("gen-csr", "0", code=1, ET_PTKC_GENERAL_CERT_STORE=str(three.home / store))
    assert f"ctident: error: {three.home / 'file'}" in said.err
    assert not three.hsm("1197")["pik_pending"]


def test_identity_survives_a_tamper_and_is_seen_meanwhile(owned):
    """The Admin token is not initialised then, and says so."""
    owned.ctident("trust", "all", "all")
    before = owned.hsm("1111")
    owned.tool("ptkc", "hsm", "tamper", "1111", "--yes")
    after = owned.hsm("1111")
    assert "not initialised" == after["admin_token"]
    assert (before["pic"], before["poc"], before["trusts"]) == (after["pic"], after["poc"], after["trusts"])


# On a terminal


def _on_terminal(machine, *arguments, typed):
    """Run ctident with a terminal as input and error output, results in a pipe; return (code, results, terminal)."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        machine.words("ctident", *arguments), env={**machine.environment, "TERM": "xterm"}, cwd=machine.home,
        stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        seen = b""
        for prompt, answer in typed:
            while prompt not in seen:
                seen += os.read(ours, 4096)
            if answer is None:
                process.send_signal(signal.SIGINT)
            else:
                os.write(ours, answer + b"\n")
        with contextlib.suppress(OSError):  # the other end is closed
            while more := os.read(ours, 4096):
                seen += more
        results = process.stdout.read()
    os.close(ours)
    return process.returncode, results.decode(), seen.decode()


def test_terminal_shows_prompts_and_progress_but_no_pin_and_no_results(three):
    """Results go to standard output alone, whatever draws on the terminal."""
    three.environment["PTKC_ADMIN_PIN_1111"] = "admin-1111"
    typed = [(b"Admin PIN of HSM 1197: ", b"admin-1197"), (b"Admin PIN of HSM 1310: ", b"admin-1310")]
    code, results, terminal = _on_terminal(three, "gen-selfsigned", "all", typed=typed)
    assert 0 == code
    assert 3 == results.count("PIK and self-signed PIC made")
    assert "making keys" in terminal
    assert "admin-1" not in terminal
    assert "PIC made" not in terminal
    typed = [(b"1197: ", b"admin-1197"), (b"overwrite it? [y/N] ", b"n")]
    assert 1 == _on_terminal(three, "gen-selfsigned", "0", typed=typed)[0]


def test_interruption_at_a_prompt_is_exit_code_130(three):
    """Nothing was changed."""
    code, results, _ = _on_terminal(three, "gen-selfsigned", "0", typed=[(b"Admin PIN of HSM 1197: ", None)])
    assert (130, "") == (code, results)
    assert three.hsm("1197")["pic"] is None


# Many, and interrupted


def test_twenty_hsms_trust_each_other_in_seconds_even_when_killed_half_way(tmp_path):
    """Killed, the command is simply given again."""
    many = Machine(tmp_path / "home").add(*(str(number) for number in range(2001, 2021)))
    many.environment["PTKC_ADMIN_PIN"] = "none"
    many.knowing_pins()
    many.ctident("gen-selfsigned", "all")
    with subprocess.Popen(
        many.words("ctident", "trust", "all", "all"), env=many.environment, cwd=many.home,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        for _ in range(5):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    held = sum(map(len, many.trusts().values()))
    assert 5 * 19 <= held < 20 * 19
    begun = time.monotonic()
    many.ctident("trust", "all", "all")
    assert time.monotonic() - begun < 60
    serials = [str(number) for number in range(2001, 2021)]
    assert {serial: [one for one in serials if one != serial] for serial in serials} == many.trusts()
