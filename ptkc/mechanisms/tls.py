"""Key derivation and MACs of TLS 1.2 (specification 6.40; RFC 5246, RFC 5705, RFC 7627), and its pre-master keys.

CKM_TLS_KDF and CKM_TLS_MAC know the function of TLS 1.0 and 1.1 as well, which CKM_TLS_PRF names. A master key is good
for the mechanisms of TLS alone. CKM_TLS12_KEY_AND_MAC_DERIVE gives out IVs, which lie behind the keys in one run of
bytes: who calls it with shorter keys reads a part of longer ones. A master key that allows CKM_TLS12_KEY_SAFE_DERIVE
only (CKA_ALLOWED_MECHANISMS) does not.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives import hashes, hmac

from ptkc.mechanisms.deriving import ALONE, Beside, Derivation, Derived
from ptkc.mechanisms.digests import ALGORITHMS
from ptkc.mechanisms.generic import derived_length, random_bytes
from ptkc.mechanisms.macs import Mac
from ptkc.mechanisms.mechanism import KEY_TYPES, Mechanism, register
from ptkc.mechanisms.parts import Parts
from ptkc.mechanisms.prf import check_work, keyed_by
from ptkc.objects.object import Object
from ptkc.spec import layouts
from ptkc.spec.constants import CKA, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError, name_of
from ptkc.spec.layouts import TlsExtendedMaster, TlsKdf, TlsKeys, TlsMac, TlsMaster
from ptkc.spec.parameters import Bytes, Layout
from ptkc.spec.values import FALSE, TRUE, Attributes, Template, pack_ulongs, ulong, unpack_ulongs

__all__ = ["KeyMaterial", "MasterKey", "PreMasterKeyGeneration", "TlsFinished", "TlsKeyDerivation"]

Prf = Callable[[bytes, bytes, int], bytes]

_MASTER = 48
_OF_MASTER = (
    CKM.TLS12_KEY_AND_MAC_DERIVE, CKM.TLS12_KEY_SAFE_DERIVE, CKM.TLS_KDF, CKM.TLS_MAC, CKM.TLS12_KDF, CKM.TLS12_MAC,
)  # fmt: skip
_SECRET = ulong(CKO.SECRET_KEY)
_GENERIC = ulong(CKK.GENERIC_SECRET)
_SOURCE = "NIST CAVP, SP 800-135 (TLS 1.2)"
_LONGEST_LABEL_CONTEXT = 2**16 - 1
_SHORTEST_DIGEST = 16


def _expand(secret: bytes, algorithm: hashes.HashAlgorithm, seed: bytes, length: int) -> bytes:
    """Return P_hash (RFC 5246 5)."""
    keyed = keyed_by(hmac.HMAC(secret, algorithm).copy)
    made = b""
    inner = seed
    while len(made) < length:
        inner = keyed(inner)
        made += keyed(inner + seed)
    return made[:length]


def _old_prf(secret: bytes, seed: bytes, length: int) -> bytes:
    """Return the function of TLS 1.0 and 1.1 (RFC 2246 5): both hashes, each with its half of the secret."""
    half = (len(secret) + 1) // 2
    one = _expand(secret[:half], hashes.MD5(), seed, length)  # noqa: S303 - what the protocol says
    other = _expand(secret[len(secret) - half :], hashes.SHA1(), seed, length)  # noqa: S303
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _prf(number: int, *, old: bool = False) -> Prf:
    """Return the function that a parameter names, with its hash; CKR_MECHANISM_PARAM_INVALID."""
    if old and number == CKM.TLS_PRF:
        return _old_prf
    algorithm = ALGORITHMS.get(number)
    if algorithm is None:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"{name_of(CKM, number)} is no hash function of ours")
    return lambda secret, seed, length: _expand(secret, algorithm, seed, length)


class PreMasterKeyGeneration(Mechanism):
    """CKM_SSL3_PRE_MASTER_KEY_GEN, CKM_TLS_PRE_MASTER_KEY_GEN: the client's version, then random bytes."""

    generates = CKK.GENERIC_SECRET
    generates_length = _MASTER
    sizes = (_MASTER, _MASTER)
    parameters = Bytes("CK_VERSION", 2)
    source = "none: the value is random"

    def __init__(self, number: int) -> None:
        """Keep the mechanism's number."""
        self.type = number

    def generate(self, parameter: bytes, attributes: Attributes) -> Attributes:
        """Return a new key."""
        value = parameter + random_bytes(_MASTER - len(parameter))
        return KEY_TYPES[self.generates].decode(value, attributes)


class MasterKey(Derivation):
    """CKM_TLS12_MASTER_KEY_DERIVE, CKM_TLS12_EXTENDED_MASTER_KEY_DERIVE and both for Diffie-Hellman."""

    key_types = (CKK.GENERIC_SECRET,)
    makes = (CKO.SECRET_KEY,)
    source = _SOURCE

    def __init__(self, number: int, layout: Layout, *, versioned: bool) -> None:
        """Keep the number, the parameter, and whether the base key begins with the client's version."""
        self.type = number
        self.parameters = layout
        self.sizes = (_MASTER, _MASTER) if versioned else (1, 65536)
        self._versioned = versioned

    def implied(self, key: Object, parameter: object) -> Attributes:  # noqa: ARG002 - always the same
        """Return class, type and length."""
        return {CKA.CLASS: _SECRET, CKA.KEY_TYPE: _GENERIC, CKA.VALUE_LEN: ulong(_MASTER)}

    def suggested(self, key: Object, parameter: object) -> Attributes:  # noqa: ARG002 - always the same
        """Return what the key is good for: the template may leave it less."""
        return {CKA.DERIVE: TRUE, CKA.ALLOWED_MECHANISMS: pack_ulongs(_OF_MASTER)}

    def derive(self, key: Object, parameter: TlsMaster | TlsExtendedMaster, attributes: Attributes) -> Derived:
        """Return the key, and the version where the base key has one.

        CKR_MECHANISM_PARAM_INVALID for another hash, and for room for a version that there is not;
        CKR_TEMPLATE_INCONSISTENT for CKA_ALLOWED_MECHANISMS that are not of TLS.
        """
        allowed = unpack_ulongs(attributes[CKA.ALLOWED_MECHANISMS])
        if not allowed or not set(allowed) <= set(_OF_MASTER):
            raise CryptokiError(CKR.TEMPLATE_INCONSISTENT, "a master key is good for the mechanisms of TLS alone")
        if parameter.version and not self._versioned:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "pVersion is given, the base key has no version")
        if isinstance(parameter, TlsMaster):
            seed = b"master secret" + parameter.random.client + parameter.random.server
        else:
            seed = b"extended master secret" + parameter.session_hash
        base = key.attributes[CKA.VALUE]
        value = _prf(parameter.prf)(base, seed, _MASTER)
        return Derived(value, (), (base[:2] if parameter.version else b"",))


class KeyMaterial(Derivation):
    """CKM_TLS12_KEY_AND_MAC_DERIVE, CKM_TLS12_KEY_SAFE_DERIVE: up to four keys, and two IVs, of one run of bytes."""

    key_types = (CKK.GENERIC_SECRET,)
    sizes = (_MASTER, _MASTER)
    parameters = layouts.TLS_KEYS
    makes = (CKO.SECRET_KEY,)
    joins = True
    source = _SOURCE
    longest = 512
    """The most bits of a key; the most bits of an IV are a quarter of it."""

    def __init__(self, number: int, *, safe: bool) -> None:
        """Keep the number, and whether no IVs are given out."""
        self.type = number
        self._safe = safe

    def implied(self, key: Object, parameter: TlsKeys) -> Attributes:  # noqa: ARG002 - whatever the parameter is
        """Return the class, and that all keys are protected as the base key is."""
        return {CKA.CLASS: _SECRET, **{kind: key.attributes[kind] for kind in (CKA.SENSITIVE, CKA.EXTRACTABLE)}}

    def suggested(self, key: Object, parameter: TlsKeys) -> Attributes:  # noqa: ARG002 - always the same
        """Return what the keys are good for."""
        return dict.fromkeys((CKA.ENCRYPT, CKA.DECRYPT, CKA.DERIVE), TRUE)

    def further(self, parameter: TlsKeys, template: Template) -> tuple[Template | None, ...]:
        """Return the templates of the client's and the server's MAC keys, then of their keys."""
        self._check(parameter)
        mac = (*(entry for entry in template if entry[0] in _STORAGE), *_MAC_KEY) if parameter.mac_bits else None
        keys = template if parameter.key_bits else None
        return mac, mac, keys, keys

    def derive(self, key: Object, parameter: TlsKeys, attributes: Attributes, beside: Beside = ALONE) -> Derived:
        """Return the keys and IVs; CKR_MECHANISM_PARAM_INVALID, CKR_ATTRIBUTE_VALUE_INVALID for another CKA_VALUE_LEN.

        There is no key but those whose handles the parameter takes.
        """
        size = parameter.key_bits // 8
        if size and derived_length({CKA.VALUE_LEN: ulong(size), **attributes}, size) != size:
            raise CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, f"CKA_VALUE_LEN is not the {size} bytes of the parameter")
        lengths = [bits // 8 for bits in (parameter.mac_bits, parameter.key_bits, self._iv_bits(parameter))]
        seed = b"key expansion" + parameter.random.server + parameter.random.client
        block = _prf(parameter.prf)(key.attributes[CKA.VALUE], seed, 2 * sum(lengths))
        pieces = []
        for length in lengths:
            for _ in range(2):
                pieces.append(block[:length])
                block = block[length:]
        further = tuple(
            None if one is None else piece for one, piece in zip(beside.attributes, pieces[:4], strict=True)
        )
        return Derived(None, further, tuple(pieces[4:]))

    def _iv_bits(self, parameter: TlsKeys) -> int:
        """Return how many bits an IV has."""
        return 0 if self._safe else parameter.iv_bits

    def _check(self, parameter: TlsKeys) -> None:
        """Refuse what no cipher suite has, and IVs without room; CKR_MECHANISM_PARAM_INVALID."""
        returned, ivs = parameter.returned, self._iv_bits(parameter)
        wrong = (
            parameter.export,
            returned is None,
            any(bits % 8 or bits > self.longest for bits in (parameter.mac_bits, parameter.key_bits, 4 * ivs)),
            ivs % 8,
            ivs and not parameter.key_bits,
            ivs and returned and not (returned.client_iv and returned.server_iv),
        )
        if any(wrong):
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"no keys of such sizes: {parameter[:4]}")


# What a MAC key has of the template of the other keys, and what it is.
_STORAGE = (CKA.TOKEN, CKA.PRIVATE, CKA.MODIFIABLE, CKA.COPYABLE, CKA.DESTROYABLE, CKA.LABEL, CKA.ID)
_MAC_KEY = (
    (CKA.KEY_TYPE, _GENERIC), (CKA.SIGN, TRUE), (CKA.VERIFY, TRUE), (CKA.ENCRYPT, FALSE), (CKA.DECRYPT, FALSE),
    (CKA.WRAP, FALSE), (CKA.UNWRAP, FALSE), (CKA.DERIVE, FALSE),
)  # fmt: skip


class TlsKeyDerivation(Derivation):
    """CKM_TLS_KDF, CKM_TLS12_KDF: exported key material (RFC 5705)."""

    key_types = (CKK.GENERIC_SECRET,)
    sizes = (1, 65536)
    parameters = layouts.TLS_KDF
    makes = (CKO.SECRET_KEY,)
    protects = True
    source = _SOURCE

    def __init__(self, number: int) -> None:
        """Keep the mechanism's number."""
        self.type = number

    def suggested(self, key: Object, parameter: TlsKdf) -> Attributes:  # noqa: ARG002 - whatever the parameter is
        """Return how the base key is protected."""
        return {kind: key.attributes[kind] for kind in (CKA.SENSITIVE, CKA.EXTRACTABLE)}

    def derive(self, key: Object, parameter: TlsKdf, attributes: Attributes) -> bytes:
        """Return CKA_VALUE_LEN bytes; CKR_MECHANISM_PARAM_INVALID, the codes of `derived_length`."""
        seed: bytes = parameter.label + parameter.random.client + parameter.random.server
        context: bytes = parameter.context
        if len(context) > _LONGEST_LABEL_CONTEXT:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "the context is longer than RFC 5705 can say")
        if context:
            seed += len(context).to_bytes(2, "big") + context
        length = derived_length(attributes, 0)
        check_work(length // _SHORTEST_DIGEST + 1, len(seed))
        return _prf(parameter.prf, old=True)(key.attributes[CKA.VALUE], seed, length)


class _FinishedAccumulator:
    """The handshake, of which the end makes the verify_data: as `Accumulation` wants it."""

    def __init__(self, prf: Prf, secret: bytes, label: bytes, length: int) -> None:
        self._prf = prf
        self._secret = secret
        self._parts = Parts()
        self._parts.add(label)
        self._length = length

    @property
    def kept(self) -> int:
        """How many bytes of parts it keeps."""
        return self._parts.size

    def update(self, data: bytes) -> None:
        """Take a further part."""
        self._parts.add(bytes(data))

    def finalize(self) -> bytes:
        """Return the verify_data."""
        return self._prf(self._secret, self._parts.join(), self._length)


class TlsFinished(Mac):
    """CKM_TLS_MAC, CKM_TLS12_MAC: the verify_data of a Finished message (RFC 5246 7.4.9)."""

    key_types = (CKK.GENERIC_SECRET,)
    sizes = (1, 65536)
    parameters = layouts.TLS_MAC
    size = 255
    source = "RFC 5246 7.4.9 over the functions that NIST CAVP, SP 800-135, tests"

    def __init__(self, number: int) -> None:
        """Keep the mechanism's number."""
        self.type = number

    def length(self, parameter: TlsMac) -> int:
        """Return the length; CKR_MECHANISM_PARAM_INVALID for less than 12 bytes, for others than 12 in TLS 1.0."""
        most = _SHORTEST if parameter.prf == CKM.TLS_PRF else self.size
        length: int = parameter.length
        if not _SHORTEST <= length <= most or parameter.side not in _LABELS:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"{length} bytes for {parameter.side}")
        return length

    def start(self, key: Object, parameter: TlsMac) -> _FinishedAccumulator:
        """Return a fresh accumulator."""
        length = self.length(parameter)
        label = _LABELS[parameter.side]
        return _FinishedAccumulator(_prf(parameter.prf, old=True), key.attributes[CKA.VALUE], label, length)


_SHORTEST = 12
_LABELS = {1: b"server finished", 2: b"client finished"}

register(
    PreMasterKeyGeneration(CKM.SSL3_PRE_MASTER_KEY_GEN),
    PreMasterKeyGeneration(CKM.TLS_PRE_MASTER_KEY_GEN),
    MasterKey(CKM.TLS12_MASTER_KEY_DERIVE, layouts.TLS_MASTER, versioned=True),
    MasterKey(CKM.TLS12_MASTER_KEY_DERIVE_DH, layouts.TLS_MASTER, versioned=False),
    MasterKey(CKM.TLS12_EXTENDED_MASTER_KEY_DERIVE, layouts.TLS_EXTENDED_MASTER, versioned=True),
    MasterKey(CKM.TLS12_EXTENDED_MASTER_KEY_DERIVE_DH, layouts.TLS_EXTENDED_MASTER, versioned=False),
    KeyMaterial(CKM.TLS12_KEY_AND_MAC_DERIVE, safe=False),
    KeyMaterial(CKM.TLS12_KEY_SAFE_DERIVE, safe=True),
    TlsKeyDerivation(CKM.TLS_KDF),
    TlsKeyDerivation(CKM.TLS12_KDF),
    TlsFinished(CKM.TLS_MAC),
    TlsFinished(CKM.TLS12_MAC),
)
