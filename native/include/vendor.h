/* The vendor's extensions of Cryptoki (ProtectToolkit-C): the only place where the vendor's numbers are written.
 *
 * Interface facts only, so that programs written for the original run unchanged. Read line by line by
 * `native/constants.py` and `native/build.py`, as pkcs11.h is. Where the standard has the name for another number, ours
 * is `VENDOR_` and the name, but for CKA_SEED, which is CKA_DSA_SEED here. `PTKC_` in a name: ours, the vendor has none.
 */
#ifndef PTKC_VENDOR_H
#define PTKC_VENDOR_H

#include "pkcs11.h"

typedef unsigned int CK_UINT;
typedef CK_UINT *CK_UINT_PTR;

/* Functions, in the order of the interface "Vendor PTKC": a CK_VERSION and these pointers. */
CK_RV CT_InitToken(CK_SESSION_HANDLE hSession, CK_SLOT_ID slotID, CK_UTF8CHAR_PTR pPin, CK_ULONG ulPinLen, CK_UTF8CHAR_PTR pLabel);
CK_RV CT_InitPIN(CK_SESSION_HANDLE hSession, CK_USER_TYPE userType, CK_UTF8CHAR_PTR pPin, CK_ULONG ulPinLen);
CK_RV CT_ResetToken(CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pPin, CK_ULONG ulPinLen, CK_UTF8CHAR_PTR pLabel);
CK_RV CT_CopyObject(CK_SESSION_HANDLE hDestination, CK_SESSION_HANDLE hSource, CK_OBJECT_HANDLE hObject, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount, CK_OBJECT_HANDLE_PTR phNewObject);
CK_RV CT_HsmIdFromSlotId(CK_SLOT_ID slotID, CK_UINT_PTR pHsmId);
CK_RV CT_ToHsmSession(CK_SESSION_HANDLE hSession, CK_SESSION_HANDLE_PTR phHsmSession);
CK_RV CT_GetHSMId(CK_SESSION_HANDLE hSession, CK_ULONG_PTR pHsmId);
CK_RV CT_PresentTicket(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject, CK_MECHANISM_PTR pMechanism, CK_BYTE_PTR pTicket, CK_ULONG ulTicketLen);
CK_RV CT_FetchCertificate(CK_UINT hsmId, CK_ATTRIBUTE_TYPE type, CK_BYTE_PTR pCertificate, CK_ULONG_PTR pulCertificateLen);
CK_RV CT_GetSMC(CK_UINT hsmId, CK_SESSION_HANDLE hSession, CK_ULONG version, CK_BYTE_PTR pInput, CK_ULONG ulInputLen, CK_BYTE_PTR pOutput, CK_ULONG_PTR pulOutputLen);

/* Small numbers */
#define CK_NO_TRANSPORT_MODE         0x00000000UL
#define CK_SINGLE_TRANSPORT_MODE     0x00000001UL
#define CK_CONTINUOUS_TRANSPORT_MODE 0x00000002UL
#define CK_EVENT_RECORD_LENGTH       0x00000030UL
#define CK_MONOTONIC_COUNTER_SIZE    0x00000014UL
#define CK_SERIAL_NUMBER_SIZE        0x00000010UL
#define CK_KDE_MACTAG_LEN            0x00000040UL

/* Security mode flags */
#define CKF_ENTRUST_READY           0x00000001UL
#define CKF_NO_CLEAR_PINS           0x00000002UL
#define CKF_AUTH_PROTECTION         0x00000004UL
#define CKF_NO_PUBLIC_CRYPTO        0x00000008UL
#define CKF_TAMPER_BEFORE_UPGRADE   0x00000010UL
#define CKF_INCREASED_SECURITY      0x00000020UL
#define CKF_FIPS_ALGORITHMS         0x00000040UL
#define CKF_FULL_SMS_ENC            0x00000080UL
#define CKF_FULL_SMS_SIGN           0x00000100UL
#define CKF_PURE_P11                0x00000200UL
#define CKF_DES_EVEN_PARITY_ALLOWED 0x00000400UL
#define CKF_USER_ECC_DP_ALLOWED     0x00000800UL
#define CKF_RESTRICT_KEY_USAGE      0x00001000UL
#define CKF_WEAK_PKCS11_MECHANISM   0x00010000UL
#define CKF_PCI_HSM_AUDIT           0x00020000UL
#define CKF_MODE_LOCKED             0x10000000UL

/* Flags of slots, tokens, sessions and mechanisms */
#define CKF_WLD_SLOT                      0x10000000UL
#define CKF_ADMIN_TOKEN                   0x10000000UL
#define CKF_WLD_TOKEN                     0x20000000UL
#define CKF_WLD_SESSION                   0x10000000UL
#define CKF_USR_OTP_INITIALIZED           0x00002000UL
#define CKF_SO_OTP_INITIALIZED            0x00004000UL
#define CKF_TICKET                        0xc0000000UL
#define CKF_PKCS_7_INCLUDE_CERTS_AND_CRLS 0x00000001UL
#define CKF_BIP32_HARDENED                0x80000000UL

/* Hardware features */
#define CKH_EVENT_LOG    0x80000001UL
#define CKH_PTKC_CHANNEL 0x80000100UL

/* Object classes */
#define CKO_CERTIFICATE_REQUEST 0x80000201UL
#define CKO_CRL                 0x80000202UL
#define CKO_ADAPTER             0x8000020aUL
#define CKO_SLOT                0x8000020bUL
#define CKO_FM                  0x8000020cUL

/* Key types */
#define CKK_RSA_DISCRETE          0x80000201UL
#define CKK_DSA_DISCRETE          0x80000202UL
#define CKK_VENDOR_SEED           0x80000203UL
#define CKK_EC_EDWARDS_DEPRECATED 0x80000012UL
#define CKK_BIP32                 0x80000014UL

/* Attributes */
#define CKA_ENUM_ATTRIBUTE            0x0000ffffUL
#define CKA_USAGE_COUNT               0x80000101UL
#define CKA_TIME_STAMP                0x80000102UL
#define CKA_CHECK_VALUE_DEPRECATED    0x80000103UL
#define CKA_MECHANISM_LIST            0x80000104UL
#define CKA_SIGN_LOCAL_CERT           0x80000127UL
#define CKA_EXPORT                    0x80000128UL
#define CKA_EXPORTABLE                0x80000129UL
#define CKA_DELETABLE                 0x8000012aUL
#define CKA_IMPORT                    0x8000012bUL
#define CKA_KEY_SIZE                  0x8000012cUL
#define CKA_ISSUER_STR                0x80000130UL
#define CKA_SUBJECT_STR               0x80000131UL
#define CKA_SERIAL_NUMBER_INT         0x80000132UL
#define CKA_RECORD_COUNT              0x80000136UL
#define CKA_RECORD_NUMBER             0x80000137UL
#define CKA_PURGE                     0x80000139UL
#define CKA_EVENT_LOG_FULL            0x8000013aUL
#define CKA_SECURITY_MODE             0x80000140UL
#define CKA_TRANSPORT_MODE            0x80000141UL
#define CKA_BATCH                     0x80000142UL
#define CKA_HW_STATUS                 0x80000143UL
#define CKA_FREE_MEM                  0x80000144UL
#define CKA_TAMPER_CMD                0x80000145UL
#define CKA_DATE_OF_MANUFACTURE       0x80000146UL
#define CKA_HALT_CMD                  0x80000147UL
#define CKA_APPLICATION_COUNT         0x80000148UL
#define CKA_FW_VERSION                0x80000149UL
#define CKA_RESCAN_PERIPHERALS_CMD    0x8000014aUL
#define CKA_RTC_AAC_ENABLED           0x8000014bUL
#define CKA_RTC_AAC_GUARD_SECONDS     0x8000014cUL
#define CKA_RTC_AAC_GUARD_COUNT       0x8000014dUL
#define CKA_RTC_AAC_GUARD_DURATION    0x8000014eUL
#define CKA_HW_EXT_INFO_STR           0x8000014fUL
#define CKA_PERFORMANCE_LEVEL         0x80000150UL
#define CKA_SLOT_ID                   0x80000151UL
#define CKA_MAX_SESSIONS              0x80000155UL
#define CKA_MIN_PIN_LEN               0x80000156UL
#define CKA_MAX_PIN_FAIL              0x80000158UL
#define CKA_FLAGS                     0x80000159UL
#define CKA_PINPAD_DESC               0x8000015aUL
#define CKA_SOM_MODE                  0x80000160UL
#define CKA_SOM_CHALLENGE             0x80000161UL
#define CKA_SOM_RESPONSE              0x80000162UL
#define CKA_VERIFY_OS                 0x80000170UL
#define CKA_VERSION                   0x80000181UL
#define CKA_MANUFACTURER              0x80000182UL
#define CKA_BUILD_DATE                0x80000183UL
#define CKA_FINGERPRINT               0x80000184UL
#define CKA_ROM_SPACE                 0x80000185UL
#define CKA_RAM_SPACE                 0x80000186UL
#define CKA_FM_STATUS                 0x80000187UL
#define CKA_DELETE_FM                 0x80000188UL
#define CKA_FM_STARTUP_STATUS         0x80000189UL
#define CKA_FM_ID                     0x8000018aUL
#define CKA_CERTIFICATE_START_TIME    0x80000190UL
#define CKA_CERTIFICATE_END_TIME      0x80000191UL
#define CKA_USAGE_LIMIT               0x80000200UL
#define CKA_ADMIN_CERT                0x80000201UL
#define CKA_PKI_ATTRIBUTE_BER_ENCODED 0x80000230UL
#define CKA_HIFACE_MASTER             0x80000250UL
#define CKA_DSA_SEED                  0x80000260UL
#define CKA_COUNTER                   0x80000261UL
#define CKA_H_VALUE                   0x80000262UL
#define CKA_INTERNAL_1                0x80000270UL
#define CKA_AUTH_CHALLENGE            0x80000280UL
#define CKA_TMP_PIN                   0x80000281UL
#define CKA_LOCAL_IDENTITY_CERT       0x80000290UL
#define CKA_HSM_OWNER_CERT            0x80000291UL
#define CKA_HSM_ROOT_CERT             0x80000292UL
#define CKA_TR31_INFO                 0x800002a0UL
#define CKA_BIP32_CHAIN_CODE          0x80001100UL
#define CKA_BIP32_VERSION_BYTES       0x80001101UL
#define CKA_BIP32_CHILD_INDEX         0x80001102UL
#define CKA_BIP32_CHILD_DEPTH         0x80001103UL
#define CKA_BIP32_ID                  0x80001104UL
#define CKA_BIP32_FINGERPRINT         0x80001105UL
#define CKA_BIP32_PARENT_FINGERPRINT  0x80001106UL
#define CKA_AUDIT_KEY                 0x80002000UL
#define CKA_DES_USAGE_COUNT           0x80004000UL
#define CKA_PTKC_CHANNEL              0x80f00001UL
#define CKA_PTKC_APPLICATION          0x80f00002UL
#define CKA_PTKC_PROTECTION           0x80f00003UL
#define CKA_PTKC_AGE                  0x80f00004UL
#define CKA_PTKC_MESSAGES             0x80f00005UL
#define CKA_PTKC_ROLLOVERS            0x80f00006UL
#define CKA_PTKC_PEER                 0x80f00007UL

/* Mechanisms */
#define CKM_RIPEMD256_RSA_PKCS                 0x80000009UL
#define CKM_DSA_SHA1_PKCS                      0x80000013UL
#define CKM_KEY_TRANSLATION                    0x8000001bUL
#define CKM_DSA_SHA224_DEPRECATED              0x80000032UL
#define CKM_DSA_SHA224_PKCS                    0x80000033UL
#define CKM_DSA_SHA256_DEPRECATED              0x80000034UL
#define CKM_DSA_SHA256_PKCS                    0x80000035UL
#define CKM_DSA_SHA384_PKCS                    0x80000036UL
#define CKM_DSA_SHA512_PKCS                    0x80000037UL
#define CKM_RC2_ECB_PAD                        0x80000101UL
#define CKM_DES_ECB_PAD                        0x80000121UL
#define CKM_VENDOR_ECDSA_SHA224                0x80000122UL
#define CKM_VENDOR_ECDSA_SHA256                0x80000123UL
#define CKM_VENDOR_ECDSA_SHA384                0x80000124UL
#define CKM_VENDOR_ECDSA_SHA512                0x80000125UL
#define CKM_DES3_ECB_PAD                       0x80000132UL
#define CKM_DES3_X919_MAC                      0x80000134UL
#define CKM_DES3_X919_MAC_GENERAL              0x80000135UL
#define CKM_CDMF_ECB_PAD                       0x80000141UL
#define CKM_RSA_FIPS_186_3_PRIME_KEY_PAIR_GEN  0x80000143UL
#define CKM_ECDSA_GBCS_SHA256                  0x80000161UL
#define CKM_AES_KW                             0x80000170UL
#define CKM_AES_KWP                            0x80000171UL
#define CKM_TDEA_TKW                           0x80000172UL
#define CKM_DES_MDC_2_PAD1                     0x80000200UL
#define CKM_MD4                                0x80000201UL
#define CKM_SHA                                0x80000202UL
#define CKM_RIPEMD                             0x80000203UL
#define CKM_ARDFP                              0x80000204UL
#define CKM_NVB                                0x80000205UL
#define CKM_CAST_ECB_PAD                       0x80000301UL
#define CKM_CAST3_ECB_PAD                      0x80000311UL
#define CKM_CAST5_ECB_PAD                      0x80000321UL
#define CKM_CAST128_ECB_PAD                    0x80000321UL
#define CKM_RC5_ECB_PAD                        0x80000331UL
#define CKM_IDEA_ECB_PAD                       0x80000341UL
#define CKM_XOR_BASE_AND_KEY                   0x80000364UL
#define CKM_DES_BCF                            0x8000038eUL
#define CKM_DES3_BCF                           0x8000038fUL
#define CKM_RSA_FIPS_186_4_PRIME_KEY_PAIR_GEN  0x80000400UL
#define CKM_UNWRAP_TR31_DISCARD                0x80000410UL
#define CKM_UNWRAP_TR31                        0x80000411UL
#define CKM_WRAP_TR31_DERIVE                   0x80000412UL
#define CKM_WRAP_TR31_VARIANT                  0x80000413UL
#define CKM_WRAP_TR31_DERIVE_CTR               0x80000414UL
#define CKM_DES_DERIVE_ECB                     0x80000500UL
#define CKM_DES_DERIVE_CBC                     0x80000501UL
#define CKM_DES3_DERIVE_ECB                    0x80000502UL
#define CKM_DES3_DERIVE_CBC                    0x80000503UL
#define CKM_DES3_RETAIL_CFB_MAC                0x80000510UL
#define CKM_MILENAGE_DERIVE                    0x80000511UL
#define CKM_MILENAGE_SIGN                      0x80000512UL
#define CKM_TUAK_SIGN                          0x80000513UL
#define CKM_TUAK_DERIVE                        0x80000514UL
#define CKM_KECCAK_1600                        0x80000515UL
#define CKM_SHA1_RSA_PKCS_TIMESTAMP            0x80000600UL
#define CKM_RSA_PKCS_7                         0x80000930UL
#define CKM_RSA_PKCS_7_ENC                     0x80000931UL
#define CKM_RSA_PKCS_7_SIGN                    0x80000932UL
#define CKM_RSA_PKCS_7_SIGN_ENC                0x80000933UL
#define CKM_ENCODE_PKCS_7                      0x80000934UL
#define CKM_DECODE_PKCS_7                      0x80000935UL
#define CKM_VENDOR_DES_OFB64                   0x80000940UL
#define CKM_DES3_OFB64                         0x80000941UL
#define CKM_ENCODE_ATTRIBUTES                  0x80000950UL
#define CKM_ENCODE_X_509                       0x80000951UL
#define CKM_ENCODE_PKCS_10                     0x80000952UL
#define CKM_DECODE_X_509                       0x80000953UL
#define CKM_ENCODE_PUBLIC_KEY                  0x80000954UL
#define CKM_ENCODE_X_509_LOCAL_CERT            0x80000955UL
#define CKM_WRAPKEY_DES3_ECB                   0x80000961UL
#define CKM_WRAPKEY_DES3_CBC                   0x80000962UL
#define CKM_WRAPKEY_AES_CBC                    0x80000963UL
#define CKM_DES3_DDD_CBC                       0x80000964UL
#define CKM_WRAPKEY_AES_KWP                    0x80000965UL
#define CKM_AES_GCM_OLD                        0x80000966UL
#define CKM_WRAPKEYBLOB_AES_CBC                0x80000970UL
#define CKM_WRAPKEYBLOB_DES3_CBC               0x80000971UL
#define CKM_VERIFY_CERTIFICATE                 0x80000980UL
#define CKM_OS_UPGRADE                         0x80000990UL
#define CKM_FM_DOWNLOAD                        0x80000991UL
#define CKM_OS_UPGRADE_2                       0x80000994UL
#define CKM_FM_DOWNLOAD_2                      0x80000995UL
#define CKM_FW_UPGRADE                         0x80000996UL
#define CKM_PP_LOAD_SECRET                     0x800009a0UL
#define CKM_PP_LOAD_SECRET_2                   0x800009a1UL
#define CKM_VISA_CVV                           0x800009b0UL
#define CKM_ZKA_MDC_2_KEY_DERIVATION           0x800009c0UL
#define CKM_VENDOR_SEED_KEY_GEN                0x800009d0UL
#define CKM_VENDOR_SEED_ECB                    0x800009d1UL
#define CKM_VENDOR_SEED_CBC                    0x800009d2UL
#define CKM_VENDOR_SEED_MAC                    0x800009d3UL
#define CKM_VENDOR_SEED_MAC_GENERAL            0x800009d4UL
#define CKM_SEED_ECB_PAD                       0x800009d5UL
#define CKM_VENDOR_SEED_CBC_PAD                0x800009d6UL
#define CKM_REPLICATE_TOKEN_RSA_AES            0x800009e0UL
#define CKM_SECRET_SHARE_WITH_ATTRIBUTES       0x800009f0UL
#define CKM_SECRET_RECOVER_WITH_ATTRIBUTES     0x800009f1UL
#define CKM_PKCS12_PBE_EXPORT                  0x800009f2UL
#define CKM_PKCS12_PBE_IMPORT                  0x800009f3UL
#define CKM_ECIES                              0x80000a00UL
#define CKM_NIST_PRF_KDF                       0x80000a02UL
#define CKM_PRF_KDF                            0x80000a03UL
#define CKM_SET_ATTRIBUTES                     0x80000a10UL
#define CKM_EC_EDWARDS_KEY_PAIR_GEN_DEPRECATED 0x80000c01UL
#define CKM_EDDSA_DEPRECATED                   0x80000c03UL
#define CKM_SHA1_EDDSA                         0x80000c09UL
#define CKM_SHA224_EDDSA                       0x80000c0aUL
#define CKM_SHA256_EDDSA                       0x80000c0bUL
#define CKM_SHA384_EDDSA                       0x80000c0cUL
#define CKM_SHA512_EDDSA                       0x80000c0dUL
#define CKM_BIP32_MASTER_DERIVE                0x80000e00UL
#define CKM_BIP32_CHILD_DERIVE                 0x80000e01UL
#define CKM_GEN_PIK_ECC_P521                   0x80001000UL
#define CKM_GEN_KTK_ECC_P521                   0x80001001UL
#define CKM_GEN_KDE_ECC_P521_DERIVE_SEND       0x80001002UL
#define CKM_GEN_KDE_ECC_P521_DERIVE_RECV       0x80001003UL
#define CKM_TOKEN_WRAP_KTK_ECC_P521            0x80001004UL
#define CKM_SHA3_224_EDDSA                     0x80001c0aUL
#define CKM_SHA3_256_EDDSA                     0x80001c0bUL
#define CKM_SHA3_384_EDDSA                     0x80001c0cUL
#define CKM_SHA3_512_EDDSA                     0x80001c0dUL

/* Return values */
#define CKR_ERACOM_ERROR                      0x80000100UL
#define CKR_TIME_STAMP                        0x80000101UL
#define CKR_ACCESS_DENIED                     0x80000102UL
#define CKR_CRYPTOKI_UNUSABLE                 0x80000103UL
#define CKR_ENCODE_ERROR                      0x80000104UL
#define CKR_V_CONFIG                          0x80000105UL
#define CKR_SO_NOT_LOGGED_IN                  0x80000106UL
#define CKR_CERT_NOT_VALIDATED                0x80000107UL
#define CKR_PIN_ALREADY_INITIALIZED           0x80000108UL
#define CKR_REMOTE_SERVER_ERROR               0x8000010aUL
#define CKR_CSA_HW_ERROR                      0x8000010bUL
#define CKR_NO_CHALLENGE                      0x80000110UL
#define CKR_RESPONSE_INVALID                  0x80000111UL
#define CKR_EVENT_LOG_NOT_FULL                0x80000113UL
#define CKR_OBJECT_READ_ONLY                  0x80000114UL
#define CKR_TOKEN_READ_ONLY                   0x80000115UL
#define CKR_VENDOR_TOKEN_NOT_INITIALIZED      0x80000116UL
#define CKR_NOT_ADMIN_TOKEN                   0x80000117UL
#define CKR_AUTHENTICATION_REQUIRED           0x80000130UL
#define CKR_OPERATION_NOT_PERMITTED           0x80000131UL
#define CKR_PKCS12_DECODE                     0x80000132UL
#define CKR_PKCS12_UNSUPPORTED_SAFEBAG_TYPE   0x80000133UL
#define CKR_PKCS12_UNSUPPORTED_PRIVACY_MODE   0x80000134UL
#define CKR_PKCS12_UNSUPPORTED_INTEGRITY_MODE 0x80000135UL
#define CKR_KEY_NOT_ACTIVE                    0x80000136UL
#define CKR_ET_NOT_ODD_PARITY                 0x80000140UL
#define CKR_MSG_ERROR                         0x80000300UL
#define CKR_NEED_IV_UPDATE                    0x80000310UL
#define CKR_DUPLICATE_IV_FOUND                0x80000311UL
#define CKR_CANNOT_DERIVE_KEYS                0x80000381UL
#define CKR_BAD_REQ_SIGNATURE                 0x80000382UL
#define CKR_BAD_REPLY_SIGNATURE               0x80000383UL
#define CKR_SMS_ERROR                         0x80000384UL
#define CKR_BAD_PROTECTION                    0x80000385UL
#define CKR_DEVICE_RESET                      0x80000386UL
#define CKR_NO_SESSION_KEYS                   0x80000387UL
#define CKR_BAD_REPLY                         0x80000388UL
#define CKR_KEY_ROLLOVER                      0x80000389UL
#define CKR_HOST_ERROR                        0x80001000UL
#define CKR_BAD_REQUEST                       0x80001001UL
#define CKR_BAD_ATTRIBUTE_PACKING             0x80001002UL
#define CKR_BAD_ATTRIBUTE_COUNT               0x80001003UL
#define CKR_BAD_PARAM_PACKING                 0x80001004UL
#define CKR_EXTERN_DCP_ERROR                  0x80001386UL
#define CKR_WLD_ERROR                         0x80002000UL
#define CKR_WLD_CONFIG_NOT_FOUND              0x80002001UL
#define CKR_WLD_CONFIG_ITEM_READ_FAILED       0x80002002UL
#define CKR_WLD_CONFIG_NO_TOKEN_LABEL         0x80002003UL
#define CKR_WLD_CONFIG_TOKEN_LABEL_LEN        0x80002004UL
#define CKR_WLD_CONFIG_TOKEN_SERIAL_NUM_LEN   0x80002005UL
#define CKR_WLD_CONFIG_SLOT_DESCRIPTION_LEN   0x80002006UL
#define CKR_WLD_CONFIG_ITEM_FORMAT_INVALID    0x80002007UL
#define CKR_WLD_LOGIN_CACHE_INCONSISTENT      0x80002010UL
#define CKR_HA_ERROR                          0x80003000UL
#define CKR_HA_MAX_SLOTS_INVALID_LEN          0x80003001UL
#define CKR_HA_SESSION_HANDLE_INVALID         0x80003002UL
#define CKR_HA_SESSION_INVALID                0x80003003UL
#define CKR_HA_OBJECT_INDEX_INVALID           0x80003004UL
#define CKR_HA_CANNOT_RECOVER_KEY             0x80003005UL
#define CKR_HA_NO_HSM                         0x80003006UL
#define CKR_HA_OUT_OF_OBJS                    0x80003007UL
#define CKR_SECURITY_FLAGS_INCOMPATIBLE       0x80003500UL
#define CKR_FM_ERROR                          0x80004000UL
#define CKR_FM_NOT_REGISTERED                 0x80004001UL
#define CKR_FM_DISPATCH_BLOCKED               0x80004002UL
#define CKR_BIP32_CHILD_INDEX_INVALID         0x8000007bUL
#define CKR_BIP32_INVALID_HARDENED_DERIVATION 0x8000007cUL
#define CKR_BIP32_MASTER_SEED_LEN_INVALID     0x8000007dUL
#define CKR_BIP32_MASTER_SEED_INVALID         0x8000007eUL
#define CKR_BIP32_INVALID_KEY_PATH_LEN        0x8000007fUL
#define CKR_OTP_PIN_INCORRECT                 0x8000008bUL
#define CKR_OTP_PIN_LEN_RANGE                 0x8000008cUL
#define CKR_OTP_PIN_ALREADY_INITIALIZED       0x8000008dUL
#define CKR_OTP_PIN_NOT_INITIALIZED           0x8000008eUL
#define CKR_OTP_PIN_REUSED                    0x8000008fUL
#define CKR_POINT_INVALID                     0x80000090UL
#define CKR_IN_SOM                            0x80000091UL
#define CKR_TR31_HDR_INCONSISTENT             0x80000098UL

#endif
