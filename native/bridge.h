/* What Python sees of C: build.py hands the plain lines to cffi, so no macros and no conditions but the guard's. */
#ifndef PTKC_BRIDGE_H
#define PTKC_BRIDGE_H

/* The two structures that Python walks through; pkcs11.h has them with `void *`, which cffi cannot unpack. */
typedef struct CK_MECHANISM { unsigned long mechanism; char *pParameter; unsigned long ulParameterLen; } CK_MECHANISM;
typedef struct CK_ATTRIBUTE { unsigned long type; char *pValue; unsigned long ulValueLen; } CK_ATTRIBUTE;

/* Start-up ended well: the last thing that provider.start() does. */
void ptkc_set_ready(void);

/* Whether functions other than C_Initialize reach Python. */
void ptkc_set_initialized(int initialized);

/* Around a late import of what may load OPENSSL_CONF (cryptography, hashlib): until the end, C_ functions called by
 * this thread answer CKR_CRYPTOKI_NOT_INITIALIZED at once, other threads' loads and forks wait. May be nested. */
void ptkc_begin_loading(void);
void ptkc_end_loading(void);

/* One line to the file that ET_PTKC_LOGGER_FILE names, if it names one and the host is not setuid. */
void ptkc_log(char *line);

/* Whether the host runs with other rights than its caller (AT_SECURE). */
int ptkc_secure(void);

/* The version that the shared object was built as. */
char *ptkc_library_version(void);

/* 0 if some page of the range is not mapped: for lengths that a sane caller would not pass. */
int ptkc_is_mapped(char *start, unsigned long length);

#endif
