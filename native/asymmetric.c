/* Asymmetric keys of any type on libcrypto's EVP: those that `cryptography` lacks or is about to lose (finite field
 * Diffie-Hellman, DSA, further curves). The types, parts and settings are libcrypto's own, by name.
 *
 * The same rules as in operations.c: a library context of our own, secrets cleansed on every path, nothing printed and
 * nothing left in the thread's error queue.
 */
#include <stddef.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "operations.h"

enum { MOST_SETTINGS = 12, LONGEST_NUMBER = 4096 };

/* The settings as OSSL_PARAM: big numbers turned to the machine's byte order, sizes copied. */
typedef struct {
    OSSL_PARAM params[MOST_SETTINGS + 1];
    size_t sizes[MOST_SETTINGS];
    unsigned char *natives;
    size_t room;
} prepared;

static void release(prepared *ready)
{
    OPENSSL_clear_free(ready->natives, ready->room);
}

/* Copy a big-endian number in the byte order of the machine, as OSSL_PARAM wants it. */
static void to_native(unsigned char *native, const unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        native[length - 1 - i] = bytes[i];
#else
        native[i] = bytes[i];
#endif
    }
}

/* The settings are read only; OSSL_PARAM has no const. */
static int prepare(prepared *ready, const ptkc_setting *settings, size_t count)
{
    memset(ready, 0, sizeof *ready);
    if (count > MOST_SETTINGS) return 0;
    ready->room = 1;
    for (size_t i = 0; i < count; i++) {
        if (settings[i].kind == 'n' && (settings[i].length == 0 || settings[i].length > LONGEST_NUMBER)) return 0;
        if (settings[i].kind == 'n') ready->room += settings[i].length;
    }
    unsigned char *native = ready->natives = OPENSSL_malloc(ready->room);
    if (native == NULL) return 0;
    for (size_t i = 0; i < count; i++) {
        const ptkc_setting *setting = &settings[i];
        unsigned char *bytes = (unsigned char *)setting->bytes;
        OSSL_PARAM *param = &ready->params[i];
        switch (setting->kind) {
        case 'n':
            to_native(native, bytes, setting->length);
            *param = OSSL_PARAM_construct_BN(setting->name, native, setting->length);
            native += setting->length;
            break;
        case 'o':
            *param = OSSL_PARAM_construct_octet_string(setting->name, bytes, setting->length);
            break;
        case 't':
            *param = OSSL_PARAM_construct_utf8_string(setting->name, (char *)bytes, setting->length);
            break;
        default:
            ready->sizes[i] = setting->length;
            *param = OSSL_PARAM_construct_size_t(setting->name, &ready->sizes[i]);
        }
    }
    ready->params[count] = OSSL_PARAM_construct_end();
    return 1;
}

static int selection_of(char what)
{
    return what == 'k' ? EVP_PKEY_KEYPAIR : what == 'p' ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEY_PARAMETERS;
}

EVP_PKEY *ptkc_key_from(const char *type, char what, const ptkc_setting *parts, size_t count)
{
    prepared ready;
    EVP_PKEY *key = NULL;
    ERR_set_mark();
    EVP_PKEY_CTX *context = ptkc_library() == NULL ? NULL : EVP_PKEY_CTX_new_from_name(ptkc_library(), type, NULL);
    if (prepare(&ready, parts, count) && context != NULL && EVP_PKEY_fromdata_init(context) == 1
        && EVP_PKEY_fromdata(context, &key, selection_of(what), ready.params) != 1) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    EVP_PKEY_CTX_free(context);
    release(&ready);
    ERR_pop_to_mark();
    return key;
}

EVP_PKEY *ptkc_key_decode(const char *type, const unsigned char *info, size_t size)
{
    EVP_PKEY *key = NULL;
    const unsigned char *rest = info;
    ERR_set_mark();
    OSSL_DECODER_CTX *context = ptkc_library() == NULL
        ? NULL
        : OSSL_DECODER_CTX_new_for_pkey(&key, "DER", "PrivateKeyInfo", type, EVP_PKEY_KEYPAIR, ptkc_library(), NULL);
    int done = context != NULL && OSSL_DECODER_from_data(context, &rest, &size) == 1 && size == 0;
    OSSL_DECODER_CTX_free(context);
    if (!done) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    ERR_pop_to_mark();
    return key;
}

/* Generate with a context that is begun by `start`. The context is freed. */
static EVP_PKEY *generate(EVP_PKEY_CTX *context, int (*start)(EVP_PKEY_CTX *), const ptkc_setting *settings, size_t count)
{
    prepared ready;
    EVP_PKEY *key = NULL;
    if (prepare(&ready, settings, count) && context != NULL && start(context) == 1
        && (count == 0 || EVP_PKEY_CTX_set_params(context, ready.params) == 1) && EVP_PKEY_generate(context, &key) != 1) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    EVP_PKEY_CTX_free(context);
    release(&ready);
    return key;
}

EVP_PKEY *ptkc_parameters_generate(const char *type, EVP_PKEY *given, const ptkc_setting *settings, size_t count)
{
    if (ptkc_library() == NULL) return NULL;
    ERR_set_mark();
    EVP_PKEY_CTX *context = given == NULL ? EVP_PKEY_CTX_new_from_name(ptkc_library(), type, NULL)
                                          : EVP_PKEY_CTX_new_from_pkey(ptkc_library(), given, NULL);
    EVP_PKEY *key = generate(context, EVP_PKEY_paramgen_init, settings, count);
    ERR_pop_to_mark();
    return key;
}

EVP_PKEY *ptkc_key_generate(EVP_PKEY *parameters, const ptkc_setting *settings, size_t count)
{
    if (ptkc_library() == NULL) return NULL;
    ERR_set_mark();
    EVP_PKEY *key = generate(
        EVP_PKEY_CTX_new_from_pkey(ptkc_library(), parameters, NULL), EVP_PKEY_keygen_init, settings, count);
    ERR_pop_to_mark();
    return key;
}

int ptkc_key_check(EVP_PKEY *key, char what)
{
    ERR_set_mark();
    EVP_PKEY_CTX *context = ptkc_library() == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(ptkc_library(), key, NULL);
    int (*check)(EVP_PKEY_CTX *) = what == 'k' ? EVP_PKEY_private_check
                                 : what == 'p' ? EVP_PKEY_public_check
                                 : what == 'q' ? EVP_PKEY_param_check_quick
                                               : EVP_PKEY_param_check;
    int right = context != NULL && check(context) == 1;
    EVP_PKEY_CTX_free(context);
    ERR_pop_to_mark();
    return right;
}

size_t ptkc_key_number(EVP_PKEY *key, const char *name, unsigned char *number, size_t room)
{
    size_t length = 0;
    BIGNUM *value = NULL;
    ERR_set_mark();
    if (EVP_PKEY_get_bn_param(key, name, &value) == 1 && (size_t)BN_num_bytes(value) <= room)
        length = (size_t)BN_bn2bin(value, number);
    BN_clear_free(value);
    ERR_pop_to_mark();
    return length;
}

size_t ptkc_key_octets(EVP_PKEY *key, const char *name, unsigned char *octets, size_t room)
{
    size_t length = 0;
    ERR_set_mark();
    if (EVP_PKEY_get_octet_string_param(key, name, octets, room, &length) != 1) length = 0;
    ERR_pop_to_mark();
    return length;
}

int ptkc_extra_bits(const unsigned char *order, size_t size, unsigned char *value)
{
    int done = 0;
    ERR_set_mark();
    BN_CTX *context = BN_CTX_secure_new_ex(ptkc_library());
    BIGNUM *most = BN_bin2bn(order, (int)size, NULL);
    BIGNUM *drawn = BN_secure_new();
    /* c of N + 64 random bits, d = (c mod (n - 1)) + 1 */
    if (context != NULL && most != NULL && drawn != NULL && size <= LONGEST_NUMBER && BN_num_bits(most) > 1) {
        int bits = BN_num_bits(most) + 64;
        BN_set_flags(drawn, BN_FLG_CONSTTIME);
        done = BN_sub_word(most, 1) == 1
            && BN_priv_rand_ex(drawn, bits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY, 0, context) == 1
            && BN_mod(drawn, drawn, most, context) == 1 && BN_add_word(drawn, 1) == 1
            && BN_bn2binpad(drawn, value, (int)size) == (int)size;
    }
    BN_clear_free(drawn);
    BN_free(most);
    BN_CTX_free(context);
    if (!done) OPENSSL_cleanse(value, size);
    ERR_pop_to_mark();
    return done;
}

int ptkc_key_agree(
    EVP_PKEY *key, EVP_PKEY *peer, const ptkc_setting *settings, size_t count, unsigned char *secret, size_t *size)
{
    size_t room = *size;
    prepared ready;
    ERR_set_mark();
    EVP_PKEY_CTX *context = ptkc_library() == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(ptkc_library(), key, NULL);
    int done = prepare(&ready, settings, count) && context != NULL && EVP_PKEY_derive_init(context) == 1
        && (count == 0 || EVP_PKEY_CTX_set_params(context, ready.params) == 1)
        && EVP_PKEY_derive_set_peer_ex(context, peer, 1) == 1 && EVP_PKEY_derive(context, secret, size) == 1;
    EVP_PKEY_CTX_free(context);
    release(&ready);
    if (!done) {
        OPENSSL_cleanse(secret, room);
        *size = 0;
    }
    ERR_pop_to_mark();
    return done;
}

int ptkc_key_sign(
    EVP_PKEY *key, const ptkc_setting *settings, size_t count, const unsigned char *data, size_t data_size,
    unsigned char *signature, size_t *size)
{
    size_t room = *size;
    prepared ready;
    ERR_set_mark();
    EVP_PKEY_CTX *context = ptkc_library() == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(ptkc_library(), key, NULL);
    int done = prepare(&ready, settings, count) && context != NULL && EVP_PKEY_sign_init(context) == 1
        && (count == 0 || EVP_PKEY_CTX_set_params(context, ready.params) == 1)
        && EVP_PKEY_sign(context, signature, size, data, data_size) == 1;
    EVP_PKEY_CTX_free(context);
    release(&ready);
    if (!done) {
        OPENSSL_cleanse(signature, room);
        *size = 0;
    }
    ERR_pop_to_mark();
    return done;
}

int ptkc_key_verify(
    EVP_PKEY *key, const ptkc_setting *settings, size_t count, const unsigned char *data, size_t data_size,
    const unsigned char *signature, size_t size)
{
    prepared ready;
    ERR_set_mark();
    EVP_PKEY_CTX *context = ptkc_library() == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(ptkc_library(), key, NULL);
    int right = prepare(&ready, settings, count) && context != NULL && EVP_PKEY_verify_init(context) == 1
        && (count == 0 || EVP_PKEY_CTX_set_params(context, ready.params) == 1)
        && EVP_PKEY_verify(context, signature, size, data, data_size) == 1;
    EVP_PKEY_CTX_free(context);
    release(&ready);
    ERR_pop_to_mark();
    return right;
}
