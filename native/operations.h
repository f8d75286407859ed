/* What `cryptography` does not offer, on libcrypto's EVP. Seen by C and, without the lines that begin with #, by cffi.
 *
 * Numbers are big-endian. A function returns 1 (or a length, or a key) when it did its work and 0 (NULL) when not, and
 * then has left nothing behind: no memory, no entry in the thread's error queue, no part of a result.
 */
#ifndef PTKC_OPERATIONS_H
#define PTKC_OPERATIONS_H

typedef struct evp_pkey_st EVP_PKEY;

typedef struct {
    const unsigned char *bytes;
    size_t length;
} ptkc_number;

/* Make a key of n, e or of n, e, d, p, q, d mod p-1, d mod q-1, 1/q mod p. */
EVP_PKEY *ptkc_rsa_key(const ptkc_number *numbers, size_t count);
EVP_PKEY *ptkc_rsa_generate(size_t bits, const ptkc_number *exponent);
void ptkc_key_free(EVP_PKEY *key);

/* Write number `index` (in the order above) of a key to `number`, which has room for `room` bytes; return its length. */
size_t ptkc_rsa_number(const EVP_PKEY *key, size_t index, unsigned char *number, size_t room);

/* RSA without padding; `input` and `output` have the length of the modulus. */
int ptkc_rsa_raw(EVP_PKEY *key, int with_private, const unsigned char *input, unsigned char *output, size_t size);

/* OAEP; `output` has room for as many bytes as the modulus, and `*output_size` becomes how many there are. */
int ptkc_rsa_oaep(
    EVP_PKEY *key, int encrypt, const char *hash, const char *mask_hash, const unsigned char *label, size_t label_size,
    const unsigned char *input, size_t input_size, unsigned char *output, size_t *output_size);

/* AES-GCM with an IV of 1 to 128 bytes. `output` is as long as `input`; the tag is written when encrypting, else checked. */
int ptkc_gcm(
    int encrypt, const unsigned char *key, size_t key_size, const unsigned char *iv, size_t iv_size,
    const unsigned char *aad, size_t aad_size, const unsigned char *input, size_t input_size, unsigned char *output,
    unsigned char *tag, size_t tag_size);

typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;

/* Begin to encrypt or decrypt with a cipher by libcrypto's name of it and its mode ("ARIA-128-CBC"), without padding. */
EVP_CIPHER_CTX *ptkc_cipher(
    const char *name, int encrypt, const unsigned char *key, size_t key_size, const unsigned char *iv, size_t iv_size);
void ptkc_cipher_free(EVP_CIPHER_CTX *cipher);

/* Go on; `output` has room for `size` bytes and a block, `*output_size` becomes how many there are. */
int ptkc_cipher_update(
    EVP_CIPHER_CTX *cipher, const unsigned char *input, size_t size, unsigned char *output, size_t *output_size);

/* The library context of ours that all of this runs in, NULL without memory. */
typedef struct ossl_lib_ctx_st OSSL_LIB_CTX;
OSSL_LIB_CTX *ptkc_library(void);

/* A part of a key or a setting of an operation, by libcrypto's name: of kind 'n' a big number, 'o' octets, 't' text of
 * `length` bytes, 'u' the number that `length` is. */
typedef struct {
    const char *name;
    char kind;
    const unsigned char *bytes;
    size_t length;
} ptkc_setting;

/* Make a key of type (DH, DHX, DSA, EC): `what` is 'k' with private part, 'p' public, 'd' domain parameters alone. */
EVP_PKEY *ptkc_key_from(const char *type, char what, const ptkc_setting *parts, size_t count);

/* Make a key pair of a PrivateKeyInfo (DER) of this type, the public part too where the encoding has none. */
EVP_PKEY *ptkc_key_decode(const char *type, const unsigned char *info, size_t size);

/* Generate domain parameters, those that are missing in `given` where it is not NULL; or a key pair to some. */
EVP_PKEY *ptkc_parameters_generate(const char *type, EVP_PKEY *given, const ptkc_setting *settings, size_t count);
EVP_PKEY *ptkc_key_generate(EVP_PKEY *parameters, const ptkc_setting *settings, size_t count);

/* Have libcrypto check domain parameters ('d', 'q' without primality), the public ('p') or the private part ('k'). */
int ptkc_key_check(EVP_PKEY *key, char what);

/* Write a part of a key to memory with `room` bytes; return its length, 0 if there is none or it is too long. */
size_t ptkc_key_number(EVP_PKEY *key, const char *name, unsigned char *number, size_t room);
size_t ptkc_key_octets(EVP_PKEY *key, const char *name, unsigned char *octets, size_t room);

/* Draw a private value from 1 to `order` - 1 as FIPS 186-4 B.4.1 does; both have `size` bytes. */
int ptkc_extra_bits(const unsigned char *order, size_t size, unsigned char *value);

/* Agree on a secret with a peer whose public part is checked first; `*size` is the room, then the secret's length. */
int ptkc_key_agree(
    EVP_PKEY *key, EVP_PKEY *peer, const ptkc_setting *settings, size_t count, unsigned char *secret, size_t *size);

/* Sign or verify `data`, which is a digest unless the type says otherwise; `*size` is the room, then the length. */
int ptkc_key_sign(
    EVP_PKEY *key, const ptkc_setting *settings, size_t count, const unsigned char *data, size_t data_size,
    unsigned char *signature, size_t *size);
int ptkc_key_verify(
    EVP_PKEY *key, const ptkc_setting *settings, size_t count, const unsigned char *data, size_t data_size,
    const unsigned char *signature, size_t size);

#endif
