"""C_EncapsulateKey and C_DecapsulateKey: ML-KEM, RSA, ECDH and Diffie-Hellman; templates, usages, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ptkc.spec.constants import CKA, CKD, CKF, CKK, CKM, CKO, CKP, CKR

from .binding import ffi
from .cryptoki import NULL, Cryptoki, Refused, Session, Template, code_name, expect
from .fresh_token import USER_PIN
from .keys import P256, X25519, import_ec, import_rsa, private_ec, private_rsa
from .parameters import Mechanism, ecdh, needs, oaep

pytestmark = pytest.mark.needs_function("C_EncapsulateKey", "C_DecapsulateKey")

_ML_KEM = Mechanism(CKM.ML_KEM)
_NEW: dict[int, Any] = {
    CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.SENSITIVE: False, CKA.EXTRACTABLE: True
}  # fmt: skip
_GENERIC = _NEW | {CKA.KEY_TYPE: CKK.GENERIC_SECRET}
# The prime of RFC 3526's group 14, which is a safe one: (p-1)/2 is the order of the subgroup.
_PRIME = bytes.fromhex(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd"
    "ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed"
    "ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f"
    "83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b"
    "e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa0510"
    "15728e5a8aacaa68ffffffffffffffff"
)
_ORDER = ((int.from_bytes(_PRIME, "big") - 1) // 2).to_bytes(256, "big")
_X448 = b"\x13\x08curve448"
_TAIL = {CKA.VALUE_LEN: 32}

Pair = Callable[[Session], tuple[int, int]]


def _ml_kem(number: int) -> Pair:
    return lambda session: session.generate_pair(
        Mechanism(CKM.ML_KEM_KEY_PAIR_GEN), {CKA.PARAMETER_SET: number, CKA.ENCAPSULATE: True}, {CKA.DECAPSULATE: True}
    )


def _generated(mechanism: int, domain: dict[int, Any]) -> Pair:
    return lambda session: session.generate_pair(
        Mechanism(mechanism), {**domain, CKA.ENCAPSULATE: True}, {CKA.DECAPSULATE: True}
    )


def _rsa(session: Session) -> tuple[int, int]:
    return import_rsa(session, private_rsa(), {CKA.ENCAPSULATE: True}, {CKA.DECAPSULATE: True})


def _x942(public: bytes = b"") -> Mechanism:
    memory = ffi.new("CK_BYTE[]", public or b"\0")
    structure = ffi.new("CK_ULONG[5]", (CKD.NULL, 0, 0, len(public), int(ffi.cast("uintptr_t", memory)) * bool(public)))
    return Mechanism(CKM.X9_42_DH_DERIVE, bytes(ffi.buffer(structure)), memory)


_WAYS = [
    needs("ML_KEM", _ML_KEM, _ml_kem(CKP.ML_KEM_512), _NEW, 768),
    needs("ML_KEM", _ML_KEM, _ml_kem(CKP.ML_KEM_768), _NEW, 1088),
    needs("ML_KEM", _ML_KEM, _ml_kem(CKP.ML_KEM_1024), _GENERIC, 1568),
    needs("RSA_PKCS", Mechanism(CKM.RSA_PKCS), _rsa, _NEW | _TAIL, 256),
    needs("RSA_PKCS_OAEP", oaep(), _rsa, _GENERIC | {CKA.VALUE_LEN: 20}, 256),
    needs("RSA_PKCS_OAEP", oaep(), _rsa, _NEW | {CKA.KEY_TYPE: CKK.DES3}, 256),
    needs("RSA_X_509", Mechanism(CKM.RSA_X_509), _rsa, _GENERIC, 256),
    needs("ECDH1_DERIVE", ecdh(b""), _generated(CKM.EC_KEY_PAIR_GEN, {CKA.EC_PARAMS: P256}), _NEW | _TAIL, 65),
    needs(
        "ECDH1_DERIVE", ecdh(b"", CKD.SHA256_KDF, b"shared"),
        _generated(CKM.EC_KEY_PAIR_GEN, {CKA.EC_PARAMS: P256}), _GENERIC | {CKA.VALUE_LEN: 77}, 65,
    ),
    needs(
        "ECDH1_COFACTOR_DERIVE", ecdh(b"", kind=CKM.ECDH1_COFACTOR_DERIVE),
        _generated(CKM.EC_KEY_PAIR_GEN, {CKA.EC_PARAMS: P256}), _GENERIC, 65,
    ),
    needs("ECDH1_DERIVE", ecdh(b""), _generated(CKM.EC_MONTGOMERY_KEY_PAIR_GEN, {CKA.EC_PARAMS: X25519}), _NEW, 32),
    needs("ECDH1_DERIVE", ecdh(b""), _generated(CKM.EC_MONTGOMERY_KEY_PAIR_GEN, {CKA.EC_PARAMS: _X448}), _GENERIC, 56),
    needs(
        "DH_PKCS_DERIVE", Mechanism(CKM.DH_PKCS_DERIVE),
        _generated(CKM.DH_PKCS_KEY_PAIR_GEN, {CKA.PRIME: _PRIME, CKA.BASE: b"\2"}), _NEW | _TAIL, 256,
    ),
    needs(
        "X9_42_DH_DERIVE", _x942(),
        _generated(CKM.X9_42_DH_KEY_PAIR_GEN, {CKA.PRIME: _PRIME, CKA.BASE: b"\2", CKA.SUBPRIME: _ORDER}),
        _GENERIC, 256,
    ),
]  # fmt: skip

ways = pytest.mark.parametrize(("name", "mechanism", "make", "template", "length"), [
    pytest.param(param.id, *param.values[1:], id=f"{param.id}-{place}", marks=param.marks)
    for place, param in enumerate(_WAYS)
])  # fmt: skip


@pytest.fixture
def pair(session: Session) -> tuple[int, int]:
    """Give an ML-KEM-768 key that encapsulates and decapsulates."""
    return _ml_kem(CKP.ML_KEM_768)(session)


def _objects(session: Session) -> int:
    return len(session.find({CKA.CLASS: CKO.SECRET_KEY}))


@ways
def test_both_sides_have_the_same_key(
    session: Session, name: str, mechanism: Mechanism, make: Pair, template: dict[int, Any], length: int
) -> None:
    """What the private key decapsulates is what the public key encapsulated; no two encapsulations are the same."""
    assert getattr(CKM, name) == mechanism.kind
    public, private = make(session)
    ciphertext, key = session.encapsulate(mechanism, public, template)
    assert length == len(ciphertext)
    value = session.get(key, CKA.VALUE)
    assert value == session.get(session.decapsulate(mechanism, private, template, ciphertext), CKA.VALUE)
    other, another = session.encapsulate(mechanism, public, template)
    assert ciphertext != other
    assert value != session.get(another, CKA.VALUE)


@ways
def test_usage_attributes_are_obeyed(
    session: Session, name: str, mechanism: Mechanism, make: Pair, template: dict[int, Any], length: int
) -> None:
    """Neither side works once its usage attribute is false."""
    assert getattr(CKM, name) == mechanism.kind
    public, private = make(session)
    ciphertext, _ = session.encapsulate(mechanism, public, template)
    assert length == len(ciphertext)
    session.set(public, {CKA.ENCAPSULATE: False})
    session.set(private, {CKA.DECAPSULATE: False})
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.encapsulate, mechanism, public, template)
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.decapsulate, mechanism, private, template, ciphertext)


@ways
def test_info_says_so(
    mechanisms: dict[int, int], name: str, mechanism: Mechanism, make: Pair, template: dict[int, Any], length: int
) -> None:
    """CK_MECHANISM_INFO has CKF_ENCAPSULATE and CKF_DECAPSULATE."""
    assert all((name, make, template, length))
    both = CKF.ENCAPSULATE | CKF.DECAPSULATE
    assert both == mechanisms[mechanism.kind] & both


@ways
def test_a_wrong_ciphertext_is_refused_or_gives_another_key(
    session: Session, name: str, mechanism: Mechanism, make: Pair, template: dict[int, Any], length: int
) -> None:
    """Lengths are checked; what has the right one is either no ciphertext or another key's."""
    assert getattr(CKM, name) == mechanism.kind
    public, private = make(session)
    ciphertext, key = session.encapsulate(mechanism, public, template)
    value = session.get(key, CKA.VALUE)
    broken = (CKR.WRAPPED_KEY_INVALID, CKR.WRAPPED_KEY_LEN_RANGE)
    for wrong in (b"", ciphertext[:-1], ciphertext + b"\1"):
        try:
            made = session.decapsulate(mechanism, private, template, wrong)
        except Refused as refused:
            assert refused.rv in broken, code_name(refused.rv)  # noqa: PT017 (as `expect`)
        else:
            # A number with another byte is another number.
            assert value != session.get(made, CKA.VALUE)
    for place in (0, length // 2, length - 1):
        wrong = bytes(byte ^ (place == index) for index, byte in enumerate(ciphertext))
        try:
            made = session.decapsulate(mechanism, private, template, wrong)
        except Refused as refused:
            assert refused.rv in broken, code_name(refused.rv)  # noqa: PT017 (as `expect`)
        else:
            assert value != session.get(made, CKA.VALUE)


@pytest.mark.needs(CKM.ECDH1_DERIVE)
def test_the_ciphertext_of_ecdh_is_a_point(session: Session) -> None:
    """It is the ephemeral public key, raw: another library agrees on the secret with it, and we with one of its own."""
    public, private = import_ec(session, private_ec(), {CKA.ENCAPSULATE: True}, {CKA.DECAPSULATE: True})
    ciphertext, key = session.encapsulate(ecdh(b""), public, _GENERIC)
    ephemeral = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), ciphertext)
    assert private_ec().exchange(ec.ECDH(), ephemeral) == session.get(key, CKA.VALUE)
    peer = ec.generate_private_key(ec.SECP256R1())
    point = peer.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    shared = peer.exchange(ec.ECDH(), private_ec().public_key())
    assert shared == session.get(session.decapsulate(ecdh(b""), private, _GENERIC, point), CKA.VALUE)


@pytest.mark.needs(CKM.ECDH1_DERIVE)
def test_a_parameter_has_no_public_key(session: Session) -> None:
    """The other side's value is the ciphertext, so it must be absent in the parameter (6.3.20)."""
    public, private = import_ec(session, private_ec(), {CKA.ENCAPSULATE: True}, {CKA.DECAPSULATE: True})
    ciphertext, _ = session.encapsulate(ecdh(b""), public, _GENERIC)
    expect(CKR.MECHANISM_PARAM_INVALID, session.encapsulate, ecdh(ciphertext), public, _GENERIC)
    expect(CKR.MECHANISM_PARAM_INVALID, session.decapsulate, ecdh(ciphertext), private, _GENERIC, ciphertext)
    expect(CKR.MECHANISM_PARAM_INVALID, session.encapsulate, ecdh(b"", 0x7777), public, _GENERIC)


@pytest.mark.needs(CKM.RSA_X_509)
@pytest.mark.parametrize("number", [0, 1, -1])
def test_rsasve_takes_no_number_whose_root_is_known(session: Session, number: int) -> None:
    """0, 1 and n-1 are their own e-th powers."""
    _, private = _rsa(session)
    modulus = private_rsa().public_key().public_numbers().n
    ciphertext = (number % modulus).to_bytes(256, "big")
    expect(CKR.WRAPPED_KEY_INVALID, session.decapsulate, Mechanism(CKM.RSA_X_509), private, _GENERIC, ciphertext)


@pytest.mark.needs(CKM.ML_KEM)
class TestMlKem:
    """What holds for all, shown with ML-KEM."""

    def test_a_length_query_makes_no_key(self, session: Session, pair: tuple[int, int]) -> None:
        """It answers the length of the ciphertext, and CKR_BUFFER_TOO_SMALL does too."""
        before, template = _objects(session), Template(_NEW)
        length, key = ffi.new("CK_ULONG *"), ffi.new("CK_OBJECT_HANDLE *")
        arguments = (_ML_KEM.pointer, pair[0], template.array, template.count)
        session.call("C_EncapsulateKey", *arguments, NULL, length, key)
        assert length[0] == 1088
        buffer = ffi.new("CK_BYTE[1088]")
        length[0] = 1087
        expect(CKR.BUFFER_TOO_SMALL, session.call, "C_EncapsulateKey", *arguments, buffer, length, key)
        assert (1088, bytes(1088)) == (length[0], bytes(buffer))
        assert before == _objects(session)
        session.call("C_EncapsulateKey", *arguments, buffer, length, key)
        assert before + 1 == _objects(session)

    def test_the_new_key_has_no_history(self, session: Session, pair: tuple[int, int]) -> None:
        """Not local, neither always sensitive nor never extractable, extractable by default (5.18.8, 5.18.9)."""
        template = {CKA.CLASS: CKO.SECRET_KEY, CKA.KEY_TYPE: CKK.AES, CKA.SENSITIVE: True}
        ciphertext, key = session.encapsulate(_ML_KEM, pair[0], template)
        for new in (key, session.decapsulate(_ML_KEM, pair[1], template, ciphertext)):
            for kind in (CKA.LOCAL, CKA.ALWAYS_SENSITIVE, CKA.NEVER_EXTRACTABLE):
                assert not session.flag(new, kind)
            assert session.flag(new, CKA.EXTRACTABLE)
            assert session.flag(new, CKA.SENSITIVE)
            expect(CKR.ATTRIBUTE_SENSITIVE, session.get, new, CKA.VALUE)
            assert session.get(new, CKA.UNIQUE_ID)

    @pytest.mark.parametrize(
        ("template", "code"),
        [
            ({CKA.CLASS: CKO.SECRET_KEY}, CKR.TEMPLATE_INCOMPLETE),
            (_NEW | {CKA.CLASS: CKO.PRIVATE_KEY}, CKR.TEMPLATE_INCONSISTENT),
            (_NEW | {CKA.VALUE: bytes(32)}, CKR.ATTRIBUTE_READ_ONLY),
            (_NEW | {CKA.LOCAL: True}, CKR.ATTRIBUTE_READ_ONLY),
            (_NEW | {CKA.TRUSTED: True}, CKR.ATTRIBUTE_READ_ONLY),
            (_NEW | {CKA.MODULUS: b"\1"}, CKR.TEMPLATE_INCONSISTENT),
            (_NEW | {0x7FFF1234: b""}, CKR.ATTRIBUTE_TYPE_INVALID),
            (_NEW | {CKA.ENCRYPT: b"\2"}, CKR.ATTRIBUTE_VALUE_INVALID),
            (_NEW | {CKA.VALUE_LEN: 15}, CKR.ATTRIBUTE_VALUE_INVALID),
            (_NEW | {CKA.KEY_TYPE: CKK.RSA}, CKR.ATTRIBUTE_VALUE_INVALID),
        ],
    )
    def test_a_bad_template_is_refused(
        self, session: Session, pair: tuple[int, int], template: dict[int, Any], code: int
    ) -> None:
        """As C_UnwrapKey refuses it, and nothing is made."""
        ciphertext, _ = session.encapsulate(_ML_KEM, pair[0], _NEW)
        before = _objects(session)
        expect(code, session.encapsulate, _ML_KEM, pair[0], template)
        expect(code, session.decapsulate, _ML_KEM, pair[1], template, ciphertext)
        assert before == _objects(session)

    def test_keys_are_of_the_right_kind(self, session: Session, pair: tuple[int, int]) -> None:
        """Public keys encapsulate, private ones decapsulate, and of the mechanism's type."""
        ciphertext, secret = session.encapsulate(_ML_KEM, pair[0], _NEW)
        for wrong in (pair[1], secret, _rsa(session)[0]):
            expect(CKR.KEY_TYPE_INCONSISTENT, session.encapsulate, _ML_KEM, wrong, _NEW)
        for wrong in (pair[0], secret, _rsa(session)[1]):
            expect(CKR.UNWRAPPING_KEY_TYPE_INCONSISTENT, session.decapsulate, _ML_KEM, wrong, _NEW, ciphertext)
        expect(CKR.KEY_HANDLE_INVALID, session.encapsulate, _ML_KEM, 0, _NEW)
        expect(CKR.UNWRAPPING_KEY_HANDLE_INVALID, session.decapsulate, _ML_KEM, 0x7FFFFFFF, _NEW, ciphertext)

    def test_mechanisms_and_parameters_are_checked(self, session: Session, pair: tuple[int, int]) -> None:
        """One that does not encapsulate, one that is not there, a parameter where there is none."""
        ciphertext, _ = session.encapsulate(_ML_KEM, pair[0], _NEW)
        for kind in (CKM.ML_DSA, CKM.SHA256, 0x7FFF1234):
            expect(CKR.MECHANISM_INVALID, session.encapsulate, Mechanism(kind), pair[0], _NEW)
            expect(CKR.MECHANISM_INVALID, session.decapsulate, Mechanism(kind), pair[1], _NEW, ciphertext)
        with_parameter = Mechanism(CKM.ML_KEM, b"x")
        expect(CKR.MECHANISM_PARAM_INVALID, session.encapsulate, with_parameter, pair[0], _NEW)
        expect(CKR.MECHANISM_PARAM_INVALID, session.decapsulate, with_parameter, pair[1], _NEW, ciphertext)

    def test_null_pointers_are_refused(self, session: Session, pair: tuple[int, int]) -> None:
        """Mechanism, length, handle and ciphertext must be there."""
        template, length, key = Template(_NEW), ffi.new("CK_ULONG *", 1088), ffi.new("CK_OBJECT_HANDLE *")
        buffer, mechanism = ffi.new("CK_BYTE[1088]"), _ML_KEM.pointer
        for arguments in (
            (NULL, pair[0], template.array, template.count, buffer, length, key),
            (mechanism, pair[0], NULL, template.count, buffer, length, key),
            (mechanism, pair[0], template.array, template.count, buffer, NULL, key),
            (mechanism, pair[0], template.array, template.count, buffer, length, NULL),
        ):
            expect(CKR.ARGUMENTS_BAD, session.call, "C_EncapsulateKey", *arguments)
        for arguments in (
            (NULL, pair[1], template.array, template.count, buffer, 1088, key),
            (mechanism, pair[1], NULL, template.count, buffer, 1088, key),
            (mechanism, pair[1], template.array, template.count, NULL, 1088, key),
            (mechanism, pair[1], template.array, template.count, buffer, 1088, NULL),
        ):
            expect(CKR.ARGUMENTS_BAD, session.call, "C_DecapsulateKey", *arguments)

    def test_allowed_mechanisms_are_obeyed(self, session: Session) -> None:
        """CKA_ALLOWED_MECHANISMS without CKM_ML_KEM forbids it."""
        public, private = session.generate_pair(
            Mechanism(CKM.ML_KEM_KEY_PAIR_GEN),
            {CKA.PARAMETER_SET: CKP.ML_KEM_768, CKA.ALLOWED_MECHANISMS: [CKM.RSA_PKCS]},
            {CKA.ALLOWED_MECHANISMS: [CKM.RSA_PKCS]},
        )
        expect(CKR.MECHANISM_INVALID, session.encapsulate, _ML_KEM, public, _NEW)
        expect(CKR.MECHANISM_INVALID, session.decapsulate, _ML_KEM, private, _NEW, bytes(1088))

    def test_the_encapsulate_template_is_compared_with_the_new_key(self, session: Session) -> None:
        """Any difference is CKR_KEY_HANDLE_INVALID, and no key is made (5.18.8)."""
        wanted = {CKA.KEY_TYPE: CKK.AES, CKA.SENSITIVE: True, CKA.EXTRACTABLE: False}
        public, _ = session.generate_pair(
            Mechanism(CKM.ML_KEM_KEY_PAIR_GEN),
            {CKA.PARAMETER_SET: CKP.ML_KEM_768, CKA.ENCAPSULATE: True, CKA.ENCAPSULATE_TEMPLATE: wanted}, {},
        )  # fmt: skip
        before = _objects(session)
        expect(CKR.KEY_HANDLE_INVALID, session.encapsulate, _ML_KEM, public, _NEW)
        assert before == _objects(session)
        assert session.encapsulate(_ML_KEM, public, {CKA.CLASS: CKO.SECRET_KEY, **wanted})[1]

    def test_the_decapsulate_template_is_added_to_the_new_key(self, session: Session) -> None:
        """What it says holds; a template that says otherwise is CKR_TEMPLATE_INCONSISTENT (5.18.9)."""
        public, private = session.generate_pair(
            Mechanism(CKM.ML_KEM_KEY_PAIR_GEN),
            {CKA.PARAMETER_SET: CKP.ML_KEM_768, CKA.ENCAPSULATE: True},
            {CKA.DECAPSULATE: True, CKA.DECAPSULATE_TEMPLATE: {CKA.EXTRACTABLE: False, CKA.ENCRYPT: True}},
        )
        ciphertext, _ = session.encapsulate(_ML_KEM, public, _NEW)
        new = session.decapsulate(_ML_KEM, private, {CKA.KEY_TYPE: CKK.AES, CKA.CLASS: CKO.SECRET_KEY}, ciphertext)
        assert not session.flag(new, CKA.EXTRACTABLE)
        assert session.flag(new, CKA.ENCRYPT)
        expect(CKR.TEMPLATE_INCONSISTENT, session.decapsulate, _ML_KEM, private, _NEW, ciphertext)

    def test_a_key_that_wants_its_pin_each_time_does_not_decapsulate(self, session: Session) -> None:
        """There is no moment for the login between the call and its answer."""
        public, private = session.generate_pair(
            Mechanism(CKM.ML_KEM_KEY_PAIR_GEN), {CKA.PARAMETER_SET: CKP.ML_KEM_768}, {CKA.ALWAYS_AUTHENTICATE: True}
        )
        ciphertext, _ = session.encapsulate(_ML_KEM, public, _NEW)
        expect(CKR.USER_NOT_LOGGED_IN, session.decapsulate, _ML_KEM, private, _NEW, ciphertext)

    def test_sessions_and_logins_are_obeyed(self, cryptoki: Cryptoki, alone: int) -> None:
        """No token object in a read-only session, no private one without login."""
        session = cryptoki.open(alone)
        session.login(USER_PIN)
        public, _ = _ml_kem(CKP.ML_KEM_768)(session)
        session.set(public, {CKA.LABEL: "kem"})
        reader = cryptoki.open_read_only(alone)
        expect(CKR.SESSION_READ_ONLY, reader.encapsulate, _ML_KEM, public, _NEW | {CKA.TOKEN: True})
        session.logout()
        expect(CKR.USER_NOT_LOGGED_IN, session.encapsulate, _ML_KEM, public, _NEW)
        assert session.encapsulate(_ML_KEM, public, _NEW | {CKA.PRIVATE: False})[1]

    def test_token_keys_are_shared_too(self, session: Session) -> None:
        """A key pair on the token gives keys on the token."""
        public, private = session.generate_pair(
            Mechanism(CKM.ML_KEM_KEY_PAIR_GEN),
            {CKA.PARAMETER_SET: CKP.ML_KEM_1024, CKA.TOKEN: True}, {CKA.TOKEN: True},
        )  # fmt: skip
        made = [public, private]
        try:
            ciphertext, key = session.encapsulate(_ML_KEM, public, _NEW | {CKA.TOKEN: True})
            made += [key, session.decapsulate(_ML_KEM, private, _NEW | {CKA.TOKEN: True}, ciphertext)]
            assert session.get(made[2], CKA.VALUE) == session.get(made[3], CKA.VALUE)
        finally:
            session.destroy(*made)


@pytest.mark.needs(CKM.ECDH1_DERIVE)
def test_a_compressed_public_key_encapsulates_as_well(session: Session) -> None:
    """The ciphertext is an uncompressed point all the same."""
    point = private_ec().public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    public = session.create({
        CKA.CLASS: CKO.PUBLIC_KEY, CKA.KEY_TYPE: CKK.EC, CKA.EC_PARAMS: P256, CKA.EC_POINT: point,
        CKA.ENCAPSULATE: True,
    })  # fmt: skip
    ciphertext, key = session.encapsulate(ecdh(b""), public, _GENERIC)
    assert len(ciphertext) == 65
    ephemeral = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), ciphertext)
    assert private_ec().exchange(ec.ECDH(), ephemeral) == session.get(key, CKA.VALUE)


@pytest.mark.parametrize(
    ("name", "mechanism", "import_pair", "private"),
    [
        needs("RSA_X_509", Mechanism(CKM.RSA_X_509), import_rsa, private_rsa),
        needs("ECDH1_DERIVE", ecdh(b""), import_ec, private_ec),
    ],
)
def test_key_decapsulates_only_if_somebody_says_so(
    session: Session, name: str, mechanism: Mechanism, import_pair: Any, private: Any  # noqa: ANN401
) -> None:  # fmt: skip
    """A key that must not decrypt, unwrap or derive does not do so by the name of decapsulation."""
    assert getattr(CKM, name) == mechanism.kind
    given = dict.fromkeys((CKA.DECRYPT, CKA.UNWRAP, CKA.DERIVE), False)
    one, two = import_pair(session, private(), None, given)
    ciphertext, _ = session.encapsulate(mechanism, one, _GENERIC)
    expect(CKR.KEY_FUNCTION_NOT_PERMITTED, session.decapsulate, mechanism, two, _GENERIC, ciphertext)


@pytest.mark.needs(CKM.ML_KEM)
def test_key_of_ml_kem_decapsulates_by_default(session: Session) -> None:
    """It can do nothing else."""
    public, private = session.generate_pair(
        Mechanism(CKM.ML_KEM_KEY_PAIR_GEN), {CKA.PARAMETER_SET: CKP.ML_KEM_768}, {}
    )
    ciphertext, _ = session.encapsulate(_ML_KEM, public, _NEW)
    session.decapsulate(_ML_KEM, private, _NEW, ciphertext)
