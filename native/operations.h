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

#endif
