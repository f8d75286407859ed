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
    "aead.gcm_ciphertext_without_a_tag_is_refused": "a missing tag is CKR_GENERAL_ERROR",
    "aead.gcm_with_a_bad_parameter_is_refused[no-iv]": "an empty IV is taken",
    "aead.gcm_with_a_changed_byte_is_refused": "a wrong tag is CKR_GENERAL_ERROR",
    "aead.gcm_with_other_associated_data_is_refused": "a wrong tag is CKR_GENERAL_ERROR",
    "attributes.attribute_given_twice_with_two_values_is_refused": "the last of two values counts",
    "attributes.flag_that_is_neither_true_nor_false_is_refused": "any other byte than zero counts as true",
    "attributes.refused_change_changes_nothing": "attributes before the refused one are changed",
    "attributes.trusted_can_be_set_by_the_so": "CKA_TRUSTED cannot be set after creation, by the SO either",
    "attributes.unique_id_cannot_be_chosen": "a module of Cryptoki 2.40 has no CKA_UNIQUE_ID",
    "attributes.unique_id_finds_its_object": "a module of Cryptoki 2.40 has no CKA_UNIQUE_ID",
    "attributes.unique_id_is_given_to_each_object": "a module of Cryptoki 2.40 has no CKA_UNIQUE_ID",
    "attributes.value_of_the_wrong_length_is_refused[long-number]": "a class of the wrong length counts as no class",
    "attributes.value_of_the_wrong_length_is_refused[short-number]": "a class of the wrong length counts as no class",
    "cipher.encryption_in_parts_is_right[4-parts-CBC_PAD]": "C_DecryptUpdate of no data asks for an absurd length",
    "cipher.parameter_of_the_wrong_length_is_refused[long-CBC]": "an IV of the wrong length is CKR_MECHANISM_INVALID",
    "cipher.parameter_of_the_wrong_length_is_refused[long-CBC_PAD]": "an IV of the wrong length is CKR_MECHANISM_INVALID",
    "cipher.parameter_of_the_wrong_length_is_refused[short-CBC]": "an IV of the wrong length is CKR_MECHANISM_INVALID",
    "cipher.parameter_of_the_wrong_length_is_refused[short-CBC_PAD]": "an IV of the wrong length is CKR_MECHANISM_INVALID",
    "cipher.parameter_where_none_belongs_is_refused": "a parameter is not looked at",
    "cipher.wrong_padding_is_refused": "wrong padding is CKR_GENERAL_ERROR",
    "derive.derive_template_is_added_and_not_contradicted": "CKA_DERIVE_TEMPLATE is unknown",
    "derive.ecdh_refuses_more_than_there_is": "more than the shared secret is CKR_FUNCTION_FAILED",
    "derive.ecdh_with_a_kdf_gives_the_derived_key": "CKD_NULL is the only key derivation function",
    "derive.ecdh_with_a_malformed_point_is_refused[absurd-der]": "a point that is none is CKR_GENERAL_ERROR",
    "derive.ecdh_with_a_malformed_point_is_refused[cut-der]": "a point that is none is CKR_GENERAL_ERROR",
    "derive.ecdh_with_a_malformed_point_is_refused[der-not-on-curve]": "a point that is none is CKR_GENERAL_ERROR",
    "derive.ecdh_with_a_malformed_point_is_refused[not-on-curve]": "a point that is none is CKR_GENERAL_ERROR",
    "derive.ecdh_with_a_malformed_point_is_refused[short]": "a point that is none is CKR_GENERAL_ERROR",
    "derive.ecdh_with_a_malformed_point_is_refused[too-large]": "a point that is none is CKR_GENERAL_ERROR",
    "derive.ecdh_with_a_malformed_point_is_refused[zeros]": "a point that is none is CKR_GENERAL_ERROR",
    "digest.digest_of_a_null_pointer_is_refused": "CKR_ARGUMENTS_BAD does not end the operation",
    "digest.digest_with_a_parameter_is_refused": "a parameter is not looked at",
    "encrypt_rsa.ciphertext_of_the_wrong_length_is_refused": "a ciphertext of the wrong length is CKR_GENERAL_ERROR",
    "encrypt_rsa.oaep_goes_both_ways[SHA256-label]": "OAEP is for SHA-1 only",
    "encrypt_rsa.oaep_goes_both_ways[SHA256-no-label]": "OAEP is for SHA-1 only",
    "encrypt_rsa.oaep_goes_both_ways[SHA512-label]": "OAEP is for SHA-1 only",
    "encrypt_rsa.oaep_goes_both_ways[SHA512-no-label]": "OAEP is for SHA-1 only",
    "encrypt_rsa.oaep_goes_both_ways[SHA_1-label]": "OAEP takes no label",
    "encrypt_rsa.oaep_refuses_data_that_does_not_fit": "too much data is CKR_GENERAL_ERROR",
    "encrypt_rsa.oaep_with_a_changed_ciphertext_is_refused": "a broken ciphertext is CKR_GENERAL_ERROR",
    "encrypt_rsa.pkcs_refuses_data_that_does_not_fit": "too much data is CKR_GENERAL_ERROR",
    "find.search_goes_beside_another_operation": "a session has one operation at a time, a search included",
    "find.sensitive_values_do_not_match": "a search compares the values of sensitive attributes too",
    "key_attributes.created_aes_key_has_a_known_length": "an AES key of any length can be created",
    "key_attributes.dates_can_be_changed": "reading a date that was set is CKR_GENERAL_ERROR",
    "key_attributes.generated_aes_key_has_a_known_length[0]": "a CKA_VALUE_LEN of 0 counts as none",
    "key_attributes.generated_pair_is_both_or_none": "a refused private template leaves the public key behind",
    "key_attributes.generated_rsa_pair_needs_its_length": "a modulus of three bits is CKR_GENERAL_ERROR",
    "key_attributes.generation_refuses_another_class_or_type[class]": "another class is CKR_ATTRIBUTE_VALUE_INVALID",
    "sign_ec.ecdsa_with_a_key_of_another_type_is_refused": "C_SignInit does not look at the key type",
    "sign_rsa.pss_refuses_a_hash_that_is_not_the_mechanisms": "a wrong hash is CKR_ARGUMENTS_BAD",
    "sign_rsa.raw_pkcs_refuses_data_that_does_not_fit": "too much data is CKR_GENERAL_ERROR",
    "sign_rsa.raw_pss_refuses_what_is_no_digest": "data of the wrong length is CKR_GENERAL_ERROR",
    "users.logout_without_a_login_is_refused": "C_Logout with nobody logged in is CKR_OK",
    "wrap.broken_wrapped_key_is_refused[flipped]": "a broken wrapped key is CKR_GENERAL_ERROR",
    "wrap.key_for_trusted_keys_is_wrapped_by_a_trusted_key": "CKA_TRUSTED cannot be set after creation, by the SO either",
    "wrap.key_wrap_takes_whole_blocks_only": "a secret that is no number of blocks is filled up with zeros",
    "wrap.unwrap_template_is_added_and_not_contradicted": "what CKA_UNWRAP_TEMPLATE says must be in the template as well",
    "wrap.unwrapped_key_is_extractable_by_default": "an unwrapped key is not extractable unless the template says so",
    "wrap.wrap_template_says_what_may_be_wrapped": "a key that does not match the template is CKR_KEY_NOT_WRAPPABLE",
}


def reason(item: pytest.Item) -> str | None:
    """Return why SoftHSM2 fails this test, or None if it should pass."""
    module = item.path.stem.removeprefix("test_")
    test = item.name.removeprefix("test_")
    return SOFTHSM.get(f"{module}.{test}") or SOFTHSM.get(f"{module}.{test.partition('[')[0]}")
