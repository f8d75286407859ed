"""Key derivation of NIST SP 800-108 (specification 6.65): counter, feedback and double-pipeline mode.

The input of the function is what the array of the parameter says, in its order. Each key is made of whole outputs of
the function that no other key shares. Of several keys all are made or none; which template was wrong is not told
through the handles, since a call that fails writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ptkc.mechanisms.deriving import ALONE, Beside, Derivation, Derived
from ptkc.mechanisms.generic import derived_length
from ptkc.mechanisms.mechanism import register
from ptkc.mechanisms.prf import CMACS, HMACS, Keyed, check_work, find_prf
from ptkc.objects.object import Object
from ptkc.spec import layouts
from ptkc.spec.constants import CK, CKA, CKK, CKM, CKO, CKR
from ptkc.spec.errors import CryptokiError
from ptkc.spec.layouts import COUNTER_FORMAT, KEY_HANDLE, LENGTH_FORMAT, PrfData, Sp800108, Sp800108Feedback
from ptkc.spec.values import Attributes, Template, ulong

__all__ = ["CounterMode", "DoublePipelineMode", "FeedbackMode"]

Parameter = Sp800108 | Sp800108Feedback
# What makes a part of the input: of the iteration variable and the counter's number.
Part = Callable[[bytes, int], bytes]

_FUNCTIONS = {**HMACS, **CMACS}
_MOST_COUNTED = 2**32 - 1
_MOST_ROUNDS = 2**17  # ours: what takes longer keeps a served HSM busy, and is no key
_WIDTHS = range(8, 65, 8)
_COUNTER_WIDTHS = range(8, 33, 8)


class _Mode(Derivation):
    """One of the three modes; subclasses say what the iteration variable is."""

    key_types = (CKK.GENERIC_SECRET, CKK.HKDF, CKK.AES, CKK.DES2, CKK.DES3, *(
        key_type for prf in HMACS.values() for key_type in prf.key_types[1:2]))  # fmt: skip
    sizes = (8, 8 * 65536)
    unit = 8
    makes = (CKO.SECRET_KEY,)
    joins = True
    counter_is_variable = False

    def named(self, parameter: Parameter) -> tuple[int, ...]:
        """Return the handles of the keys whose values are data."""
        return tuple(
            KEY_HANDLE.unpack(field.value).handle  # type: ignore[attr-defined]
            for field in parameter.data
            if field.type == CK.SP800_108_KEY_HANDLE
        )

    def implied(self, key: Object, parameter: Parameter) -> Attributes:  # noqa: ARG002 - always the same
        """Return the class."""
        return {CKA.CLASS: ulong(CKO.SECRET_KEY)}

    def suggested(self, key: Object, parameter: Parameter) -> Attributes:  # noqa: ARG002 - whatever the parameter is
        """Return how the base key is protected."""
        return {kind: key.attributes[kind] for kind in (CKA.SENSITIVE, CKA.EXTRACTABLE)}

    def uncovered(self, parameter: Parameter, keys: tuple[Object, ...]) -> tuple[Object, ...]:
        """Return the keys whose values are data: whoever knows the base key turns CMAC back."""
        return () if parameter.prf in HMACS else keys[1:]

    def lineage(self, flags: tuple[bool, ...]) -> bool:
        """Return whether any of the keys was so: a secret that was never known is enough."""
        return any(flags)

    def further(self, parameter: Parameter, template: Template) -> tuple[Template, ...]:  # noqa: ARG002 - each its own
        """Return the templates of the additional keys; CKR_MECHANISM_PARAM_INVALID without room for a handle."""
        if not all(key.handle for key in parameter.further):
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "phKey of an additional key is NULL")
        return tuple(key.template for key in parameter.further)

    def derive(self, key: Object, parameter: Parameter, attributes: Attributes, beside: Beside = ALONE) -> Derived:
        """Return the values of all keys.

        CKR_MECHANISM_PARAM_INVALID for another function, data that this mode does not have, or too many keys for the
        counter; CKR_KEY_TYPE_INCONSISTENT; the codes of `derived_length`.
        """
        prf = find_prf(_FUNCTIONS, parameter.prf)
        function = prf.under(key)
        lengths = [derived_length(each, 0) for each in (attributes, *beside.attributes)]
        rounds = [-(-length // prf.size) for length in lengths]
        total = {
            CK.SP800_108_DKM_LENGTH_SUM_OF_KEYS: 8 * sum(lengths),
            CK.SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS: 8 * prf.size * sum(rounds),
        }
        reader = _Input(self.counter_is_variable, total, beside.keys)
        parts = [reader.part(field) for field in parameter.data]
        reader.check(sum(rounds))
        check_work(sum(rounds), len(_joined(parts, bytes(prf.size), 1)))
        segments = self.segments(function, parameter, parts)
        payloads = [
            b"".join(next(segments) for _ in range(count))[:length]
            for count, length in zip(rounds, lengths, strict=True)
        ]
        return Derived(payloads[0], tuple(payloads[1:]))

    def segments(self, function: Keyed, parameter: Parameter, parts: list[Part]) -> Iterator[bytes]:
        """Yield the outputs, without end."""
        raise NotImplementedError


class CounterMode(_Mode):
    """CKM_SP800_108_COUNTER_KDF (SP 800-108 5.1): the iteration variable is a counter."""

    type = CKM.SP800_108_COUNTER_KDF
    parameters = layouts.SP800_108
    counter_is_variable = True
    source = "NIST CAVP (cryptography_vectors: KDF/nist-800-108-KBKDF-CTR)"

    def segments(self, function: Keyed, parameter: Parameter, parts: list[Part]) -> Iterator[bytes]:  # noqa: ARG002
        """Yield K(i) = PRF(K, … [i] …)."""
        for number in range(1, _MOST_COUNTED + 1):
            yield function(_joined(parts, b"", number))


class FeedbackMode(_Mode):
    """CKM_SP800_108_FEEDBACK_KDF (SP 800-108 5.2): the iteration variable is the output before."""

    type = CKM.SP800_108_FEEDBACK_KDF
    parameters = layouts.SP800_108_FEEDBACK
    source = "NIST ACVP (KDF 1.0)"

    def segments(self, function: Keyed, parameter: Parameter, parts: list[Part]) -> Iterator[bytes]:
        """Yield K(i) = PRF(K, … K(i-1) …), where K(0) is the IV."""
        output: bytes = parameter.iv  # type: ignore[union-attr]
        for number in range(1, _MOST_COUNTED + 1):
            output = function(_joined(parts, output, number))
            yield output


class DoublePipelineMode(_Mode):
    """CKM_SP800_108_DOUBLE_PIPELINE_KDF (SP 800-108 5.3): the iteration variable comes from a pipeline of its own."""

    type = CKM.SP800_108_DOUBLE_PIPELINE_KDF
    parameters = layouts.SP800_108
    source = "NIST ACVP (KDF 1.0)"

    def segments(self, function: Keyed, parameter: Parameter, parts: list[Part]) -> Iterator[bytes]:
        """Yield K(i) = PRF(K, … A(i) …), A(i) = PRF(K, A(i-1)); A(0) is the input without variable and counter."""
        inner = _joined(
            [
                part
                for part, field in zip(parts, parameter.data, strict=True)
                if field.type not in (CK.SP800_108_ITERATION_VARIABLE, CK.SP800_108_COUNTER)
            ],
            b"",
            0,
        )
        for number in range(1, _MOST_COUNTED + 1):
            inner = function(inner)
            yield function(_joined(parts, inner, number))


class _Input:
    """Reads the array that says what the function's input is, and holds it to the rules of the mode."""

    def __init__(self, counter_is_variable: bool, total: dict[int, int], keys: tuple[Object, ...]) -> None:  # noqa: FBT001
        """Keep what the length of all keys is by each method, in bits, and the keys whose values are data."""
        self._counter_is_variable = counter_is_variable
        self._total = total
        self._keys = iter(keys)
        self._seen: list[int] = []
        self._most = _MOST_COUNTED

    def part(self, field: PrfData) -> Part:
        """Return what makes the part of the input; CKR_MECHANISM_PARAM_INVALID."""
        self._seen.append(field.type)
        read = _PARTS.get(field.type)
        if read is None:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"data of type {field.type}")
        return read(self, field.value)

    def check(self, rounds: int) -> None:
        """Hold the whole to what must be there once, may be there once, and how far the counter counts."""
        counts = [self._seen.count(kind) for kind in (
            CK.SP800_108_ITERATION_VARIABLE, CK.SP800_108_COUNTER, CK.SP800_108_DKM_LENGTH)]  # fmt: skip
        if counts[0] != 1 or counts[1] > (not self._counter_is_variable) or counts[2] > 1:
            raise CryptokiError(
                CKR.MECHANISM_PARAM_INVALID, "there are {} iteration variables, {} counters, {} lengths".format(*counts)
            )
        if rounds > min(self._most, _MOST_ROUNDS):
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"{rounds} outputs are more than there can be")

    def variable(self, value: bytes) -> Part:
        """Return the part that is the iteration variable."""
        if self._counter_is_variable:
            return self.counter(value)
        if value:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "an iteration variable with a format")
        return lambda variable, _: variable

    def counter(self, value: bytes) -> Part:
        """Return the part that is the counter."""
        layout = COUNTER_FORMAT.unpack(value)
        encode = _encoding(layout, _COUNTER_WIDTHS)
        self._most = min(self._most, 2**layout.width_bits - 1)  # type: ignore[attr-defined]
        return lambda _, number: encode(number)

    def length(self, value: bytes) -> Part:
        """Return the part that is the length of all keys."""
        layout = LENGTH_FORMAT.unpack(value)
        total = self._total.get(layout.method)  # type: ignore[attr-defined]
        if total is None or total >> layout.width_bits:  # type: ignore[attr-defined]
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"{layout} does not say the length")
        return _constant(_encoding(layout, _WIDTHS)(total))

    def given(self, value: bytes) -> Part:
        """Return the part that is the caller's."""
        if not value:
            raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, "a byte array without bytes")
        return _constant(value)

    def key(self, _: bytes) -> Part:
        """Return the part that is the value of a key."""
        return _constant(next(self._keys).attributes[CKA.VALUE])


_PARTS = {
    CK.SP800_108_ITERATION_VARIABLE: _Input.variable,
    CK.SP800_108_COUNTER: _Input.counter,
    CK.SP800_108_DKM_LENGTH: _Input.length,
    CK.SP800_108_BYTE_ARRAY: _Input.given,
    CK.SP800_108_KEY_HANDLE: _Input.key,
}


def _constant(value: bytes) -> Part:
    return lambda _, __: value


def _encoding(layout: object, widths: range) -> Callable[[int], bytes]:
    """Return what encodes a number as a format says; CKR_MECHANISM_PARAM_INVALID for a width that we do not have."""
    little, bits = layout.little_endian, layout.width_bits  # type: ignore[attr-defined]
    if bits not in widths:
        raise CryptokiError(CKR.MECHANISM_PARAM_INVALID, f"a number of {bits} bits")
    return lambda number: number.to_bytes(bits // 8, "little" if little else "big")


def _joined(parts: list[Part], variable: bytes, number: int) -> bytes:
    """Return the input of one round."""
    return b"".join(part(variable, number) for part in parts)


register(CounterMode(), FeedbackMode(), DoublePipelineMode())
