/* Operations on libcrypto's EVP, for what `cryptography` does not offer.
 *
 * They run in a library context of their own: what a configuration file or the host sets up for the default one (engines,
 * providers, properties) does not reach them. libcrypto 3.0 may all the same read its configuration for the default
 * context when RSA is first used; `spec/loading.py` has had it do so before. Buffers that held a secret are cleansed, on
 * every path. Nothing is printed, and nothing is left in the thread's error queue, which is the host's too.
 */
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include "operations.h"

static OSSL_LIB_CTX *the_library;

/* Made at the first use. Two threads may both make one; the second is freed. */
OSSL_LIB_CTX *ptkc_library(void)
{
    OSSL_LIB_CTX *made = __atomic_load_n(&the_library, __ATOMIC_ACQUIRE);
    if (made != NULL) return made;
    made = OSSL_LIB_CTX_new();
    OSSL_LIB_CTX *none = NULL;
    if (made != NULL
        && !__atomic_compare_exchange_n(&the_library, &none, made, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        OSSL_LIB_CTX_free(made);
        made = none;
    }
    return made;
}

/* The parts of an RSA key, in the order of PKCS #1's RSAPrivateKey. */
static const char *const rsa_parts[] = {
    OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,         OSSL_PKEY_PARAM_RSA_D,
    OSSL_PKEY_PARAM_RSA_FACTOR1,   OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
    OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};
enum { RSA_PUBLIC_PARTS = 2, RSA_PARTS = sizeof rsa_parts / sizeof rsa_parts[0] };

/* Copy a big-endian number in the byte order of the machine, as OSSL_PARAM wants it. */
static void to_native(unsigned char *native, const ptkc_number *number)
{
    for (size_t i = 0; i < number->length; i++) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        native[number->length - 1 - i] = number->bytes[i];
#else
        native[i] = number->bytes[i];
#endif
    }
}

static EVP_PKEY *rsa_from_data(OSSL_PARAM *params, int selection)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = ptkc_library() == NULL ? NULL : EVP_PKEY_CTX_new_from_name(ptkc_library(), "RSA", NULL);
    if (context != NULL && EVP_PKEY_fromdata_init(context) == 1 && EVP_PKEY_fromdata(context, &key, selection, params) != 1) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    EVP_PKEY_CTX_free(context);
    return key;
}

EVP_PKEY *ptkc_rsa_key(const ptkc_number *numbers, size_t count)
{
    if (count != RSA_PUBLIC_PARTS && count != RSA_PARTS) return NULL;
    size_t room = 0;
    for (size_t i = 0; i < count; i++) {
        if (numbers[i].length == 0 || numbers[i].length > OPENSSL_RSA_MAX_MODULUS_BITS / 8) return NULL;
        room += numbers[i].length;
    }
    unsigned char *natives = OPENSSL_malloc(room);
    if (natives == NULL) return NULL;
    ERR_set_mark();
    OSSL_PARAM params[RSA_PARTS + 1];
    unsigned char *native = natives;
    for (size_t i = 0; i < count; i++) {
        to_native(native, &numbers[i]);
        params[i] = OSSL_PARAM_construct_BN(rsa_parts[i], native, numbers[i].length);
        native += numbers[i].length;
    }
    params[count] = OSSL_PARAM_construct_end();
    EVP_PKEY *key = rsa_from_data(params, count == RSA_PARTS ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY);
    OPENSSL_clear_free(natives, room);
    ERR_pop_to_mark();
    return key;
}

EVP_PKEY *ptkc_rsa_generate(size_t bits, const ptkc_number *exponent)
{
    if (exponent->length == 0 || exponent->length > OPENSSL_RSA_MAX_MODULUS_BITS / 8) return NULL;
    unsigned char *native = OPENSSL_malloc(exponent->length);
    if (native == NULL) return NULL;
    ERR_set_mark();
    to_native(native, exponent);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_size_t(OSSL_PKEY_PARAM_RSA_BITS, &bits),
        OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_E, native, exponent->length),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = ptkc_library() == NULL ? NULL : EVP_PKEY_CTX_new_from_name(ptkc_library(), "RSA", NULL);
    if (context != NULL && EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_CTX_set_params(context, params) == 1
        && EVP_PKEY_generate(context, &key) != 1) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    EVP_PKEY_CTX_free(context);
    OPENSSL_free(native);
    ERR_pop_to_mark();
    return key;
}

void ptkc_key_free(EVP_PKEY *key)
{
    EVP_PKEY_free(key);
}

size_t ptkc_rsa_number(const EVP_PKEY *key, size_t index, unsigned char *number, size_t room)
{
    if (index >= RSA_PARTS) return 0;
    size_t length = 0;
    BIGNUM *value = NULL;
    ERR_set_mark();
    if (EVP_PKEY_get_bn_param(key, rsa_parts[index], &value) == 1 && (size_t)BN_num_bytes(value) <= room)
        length = (size_t)BN_bn2bin(value, number);
    BN_clear_free(value);
    ERR_pop_to_mark();
    return length;
}

typedef int (*start_function)(EVP_PKEY_CTX *);
typedef int (*run_function)(EVP_PKEY_CTX *, unsigned char *, size_t *, const unsigned char *, size_t);

/* Encrypt or decrypt with an RSA key. `output` has room for as many bytes as the modulus, `padding` sets the scheme. */
static int rsa_crypt(
    EVP_PKEY *key, int encrypt, const OSSL_PARAM *padding, const unsigned char *input, size_t input_size,
    unsigned char *output, size_t *output_size)
{
    start_function start = encrypt ? EVP_PKEY_encrypt_init : EVP_PKEY_decrypt_init;
    run_function run = encrypt ? EVP_PKEY_encrypt : EVP_PKEY_decrypt;
    size_t size = (size_t)EVP_PKEY_get_size(key);
    ERR_set_mark();
    EVP_PKEY_CTX *context = ptkc_library() == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(ptkc_library(), key, NULL);
    *output_size = size;
    int done = context != NULL && start(context) == 1 && EVP_PKEY_CTX_set_params(context, padding) == 1
        && run(context, output, output_size, input, input_size) == 1;
    EVP_PKEY_CTX_free(context);
    if (!done) {
        OPENSSL_cleanse(output, size);
        *output_size = 0;
    }
    ERR_pop_to_mark();
    return done;
}

int ptkc_rsa_raw(EVP_PKEY *key, int with_private, const unsigned char *input, unsigned char *output, size_t size)
{
    char none[] = OSSL_PKEY_RSA_PAD_MODE_NONE;
    const OSSL_PARAM padding[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_PAD_MODE, none, 0),
        OSSL_PARAM_construct_end(),
    };
    size_t output_size = 0;
    if (size != (size_t)EVP_PKEY_get_size(key)) return 0;
    return rsa_crypt(key, !with_private, padding, input, size, output, &output_size) && output_size == size;
}

int ptkc_rsa_oaep(
    EVP_PKEY *key, int encrypt, const char *hash, const char *mask_hash, const unsigned char *label, size_t label_size,
    const unsigned char *input, size_t input_size, unsigned char *output, size_t *output_size)
{
    char oaep[] = OSSL_PKEY_RSA_PAD_MODE_OAEP;
    /* The parameters are read only; OSSL_PARAM has no const. */
    const OSSL_PARAM padding[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_PAD_MODE, oaep, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, (char *)hash, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, (char *)mask_hash, 0),
        OSSL_PARAM_construct_octet_string(OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL, (unsigned char *)label, label_size),
        OSSL_PARAM_construct_end(),
    };
    return rsa_crypt(key, encrypt, padding, input, input_size, output, output_size);
}

/* Pass `size` bytes through the cipher in parts that fit an int; `output` is NULL for associated data. */
static int pass(EVP_CIPHER_CTX *context, unsigned char *output, const unsigned char *input, size_t size)
{
    while (size > 0) {
        int part = size > INT_MAX / 2 ? INT_MAX / 2 : (int)size;
        int made = 0;
        if (EVP_CipherUpdate(context, output, &made, input, part) != 1) return 0;
        if (output != NULL) output += made;
        input += part;
        size -= (size_t)part;
    }
    return 1;
}

int ptkc_gcm(
    int encrypt, const unsigned char *key, size_t key_size, const unsigned char *iv, size_t iv_size,
    const unsigned char *aad, size_t aad_size, const unsigned char *input, size_t input_size, unsigned char *output,
    unsigned char *tag, size_t tag_size)
{
    const char *name = key_size == 16 ? "AES-128-GCM" : key_size == 24 ? "AES-192-GCM" : key_size == 32 ? "AES-256-GCM" : NULL;
    if (name == NULL || ptkc_library() == NULL) return 0;
    ERR_set_mark();
    unsigned char rest[EVP_MAX_BLOCK_LENGTH];
    int made = 0;
    int done = 0;
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(ptkc_library(), name, NULL);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    OSSL_PARAM start[] = {OSSL_PARAM_construct_size_t(OSSL_CIPHER_PARAM_AEAD_IVLEN, &iv_size), OSSL_PARAM_construct_end()};
    OSSL_PARAM tags[] = {OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, tag_size), OSSL_PARAM_construct_end()};
    if (cipher != NULL && context != NULL && EVP_CipherInit_ex2(context, cipher, NULL, NULL, encrypt, start) == 1
        && EVP_CipherInit_ex2(context, NULL, key, iv, encrypt, NULL) == 1
        && pass(context, NULL, aad, aad_size) && pass(context, output, input, input_size)
        && (encrypt || EVP_CIPHER_CTX_set_params(context, tags) == 1)
        && EVP_CipherFinal_ex(context, rest, &made) == 1
        && (!encrypt || EVP_CIPHER_CTX_get_params(context, tags) == 1))
        done = 1;
    EVP_CIPHER_CTX_free(context);
    EVP_CIPHER_free(cipher);
    OPENSSL_cleanse(rest, sizeof rest);
    if (!done) OPENSSL_cleanse(output, input_size);
    ERR_pop_to_mark();
    return done;
}

EVP_CIPHER_CTX *ptkc_cipher(
    const char *name, int encrypt, const unsigned char *key, size_t key_size, const unsigned char *iv, size_t iv_size)
{
    if (ptkc_library() == NULL) return NULL;
    ERR_set_mark();
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(ptkc_library(), name, NULL);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (cipher == NULL || context == NULL || (size_t)EVP_CIPHER_get_key_length(cipher) != key_size
        || (size_t)EVP_CIPHER_get_iv_length(cipher) != iv_size
        || EVP_CipherInit_ex2(context, cipher, key, iv_size == 0 ? NULL : iv, encrypt, NULL) != 1
        || EVP_CIPHER_CTX_set_padding(context, 0) != 1) {
        EVP_CIPHER_CTX_free(context);
        context = NULL;
    }
    EVP_CIPHER_free(cipher);
    ERR_pop_to_mark();
    return context;
}

void ptkc_cipher_free(EVP_CIPHER_CTX *cipher)
{
    EVP_CIPHER_CTX_free(cipher);
}

int ptkc_cipher_update(
    EVP_CIPHER_CTX *cipher, const unsigned char *input, size_t size, unsigned char *output, size_t *output_size)
{
    int done = 1;
    *output_size = 0;
    ERR_set_mark();
    for (size_t place = 0; done && place < size;) {
        int part = size - place > INT_MAX / 2 ? INT_MAX / 2 : (int)(size - place);
        int made = 0;
        done = EVP_CipherUpdate(cipher, output + *output_size, &made, input + place, part) == 1;
        *output_size += done ? (size_t)made : 0;
        place += (size_t)part;
    }
    if (!done) {
        OPENSSL_cleanse(output, *output_size);
        *output_size = 0;
    }
    ERR_pop_to_mark();
    return done;
}
