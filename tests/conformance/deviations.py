"""Where SoftHSM2 is known to do otherwise than the specification says: the test and the reason, one a line.

A name is `module.test` or `module.test[parameter]`. Each is a strict expected failure on SoftHSM2 and means nothing for
any other module: an unlisted failure fails, and so does a listed test that passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

__all__ = ["SOFTHSM", "reason"]

SOFTHSM: dict[str, str] = {
    "attributes.refused_change_changes_nothing": "attributes before the refused one are changed",
    "attributes.unique_id_is_given_to_each_object": "a module of Cryptoki 2.40 has no CKA_UNIQUE_ID",
    "attributes.unique_id_finds_its_object": "a module of Cryptoki 2.40 has no CKA_UNIQUE_ID",
    "attributes.unique_id_cannot_be_chosen": "a module of Cryptoki 2.40 has no CKA_UNIQUE_ID",
    "attributes.value_of_the_wrong_length_is_refused[short-number]": "a class of the wrong length counts as no class",
    "attributes.value_of_the_wrong_length_is_refused[long-number]": "a class of the wrong length counts as no class",
    "attributes.flag_that_is_neither_true_nor_false_is_refused": "any other byte than zero counts as true",
    "attributes.attribute_given_twice_with_two_values_is_refused": "the last of two values counts",
    "attributes.trusted_can_be_set_by_the_so": "CKA_TRUSTED cannot be set after creation, by the SO either",
    "digest.digest_with_a_parameter_is_refused": "a parameter is not looked at",
    "digest.digest_of_a_null_pointer_is_refused": "CKR_ARGUMENTS_BAD does not end the operation",
    "find.search_goes_beside_another_operation": "a session has one operation at a time, a search included",
    "find.sensitive_values_do_not_match": "a search compares the values of sensitive attributes too",
    "key_attributes.generated_aes_key_has_a_known_length[0]": "a CKA_VALUE_LEN of 0 counts as none",
    "key_attributes.created_aes_key_has_a_known_length": "an AES key of any length can be created",
    "key_attributes.generation_refuses_another_class_or_type[class]": "another class is CKR_ATTRIBUTE_VALUE_INVALID",
    "key_attributes.dates_can_be_changed": "reading a date that was set is CKR_GENERAL_ERROR",
    "key_attributes.allowed_mechanisms_are_the_only_ones": "a key with CKA_ALLOWED_MECHANISMS is refused to each mechanism",
    "key_attributes.generated_pair_is_both_or_none": "a refused private template leaves the public key behind",
    "key_attributes.generated_rsa_pair_needs_its_length": "a modulus of three bits is CKR_GENERAL_ERROR",
    "users.logout_without_a_login_is_refused": "C_Logout with nobody logged in is CKR_OK",
}


def reason(item: pytest.Item) -> str | None:
    """Return why SoftHSM2 fails this test, or None if it should pass."""
    module = item.path.stem.removeprefix("test_")
    test = item.name.removeprefix("test_")
    return SOFTHSM.get(f"{module}.{test}") or SOFTHSM.get(f"{module}.{test.partition('[')[0]}")
