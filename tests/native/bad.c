/* All functions with bad arguments, before and after C_Initialize: bad MODULE. signatures.inc has a letter a parameter:
 * s session, u number, m mechanism, a template, l pointer to numbers, n callback, p any other pointer.
 * Ends with 1 if a call answers what it must not, or the session is not usable afterwards. */
#include "host.h"

enum { MOST = 12, ROOM = 65536 };
typedef CK_RV (*any)(CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG,
                     CK_ULONG, CK_ULONG);
static const struct { const char *name, *parameters; } functions[] = {
#define SIGNATURE(name, parameters) {#name, parameters},
#include "signatures.inc"
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static unsigned char room[ROOM];
static CK_MECHANISM mechanism;
static CK_ATTRIBUTE template[4];
static CK_ULONG numbers[ROOM / sizeof(CK_ULONG)];
static CK_SESSION_HANDLE session;

static CK_RV call(int which, const CK_ULONG *a)
{
    any run = (any)(uintptr_t)symbol(functions[which].name);
    return run(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11]);
}

static int is(int which, const char *name) { return strcmp(functions[which].name, name) == 0; }

/* Fill in good pointers, and `number` for all numbers. */
static void fill(int which, CK_ULONG *arguments, CK_ULONG number)
{
    for (int i = 0; functions[which].parameters[i] != '\0'; i++) {
        switch (functions[which].parameters[i]) {
        case 's': arguments[i] = session; break;
        case 'm': arguments[i] = (CK_ULONG)&mechanism; break;
        case 'a': arguments[i] = (CK_ULONG)template; break;
        case 'l': arguments[i] = (CK_ULONG)numbers; break;
        case 'p': arguments[i] = (CK_ULONG)room; break;
        case 'n': arguments[i] = 0; break;
        default: arguments[i] = number;
        }
    }
    if (is(which, "C_WaitForSlotEvent")) arguments[0] = CKF_DONT_BLOCK;
}

static void refill(CK_ULONG number)
{
    memset(room, 0, sizeof room);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) numbers[i] = number;
}

/* After anything: the library answers, and a session can be used. */
static void check_session(int which)
{
    CK_SESSION_INFO info;
    CK_MECHANISM sha256 = {CKM_SHA256, NULL, 0};
    CK_BYTE digest[32];
    CK_ULONG length = sizeof digest;
    if (FUNCTION(C_GetSessionInfo)(session, &info) != CKR_OK) /* it was closed, rightly or with all others */
        WANT(CKR_OK, FUNCTION(C_OpenSession)(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
    FUNCTION(C_SessionCancel)(session, CKF_DIGEST);
    CK_RV rv = FUNCTION(C_DigestInit)(session, &sha256);
    if (rv != CKR_OK) fprintf(stderr, "after %s:\n", functions[which].name);
    WANT(CKR_OK, rv);
    WANT(CKR_OK, FUNCTION(C_Digest)(session, room, 3, digest, &length));
    WANT(32, length);
}

static int skipped(int which)
{
    return is(which, "C_Initialize") || is(which, "C_Finalize") || is(which, "C_InitToken") ||
           strncmp(functions[which].name, "C_GetInterface", 14) == 0 || is(which, "C_GetFunctionList");
}

static void before_initialize(void)
{
    CK_ULONG arguments[MOST];
    for (int which = 0; which < FUNCTIONS; which++) {
        if (is(which, "C_Initialize") || strncmp(functions[which].name, "C_GetInterface", 14) == 0 || is(which, "C_GetFunctionList"))
            continue;
        memset(arguments, 0, sizeof arguments);
        WANT(CKR_CRYPTOKI_NOT_INITIALIZED, call(which, arguments));
        fill(which, arguments, 1);
        WANT(CKR_CRYPTOKI_NOT_INITIALIZED, call(which, arguments));
    }
}

/* One call; CKR_GENERAL_ERROR is what a bug of ours looks like. */
static void attempt(int which, const CK_ULONG *arguments)
{
    CK_RV rv = call(which, arguments);
    if (rv == CKR_GENERAL_ERROR || rv == CKR_CRYPTOKI_NOT_INITIALIZED) {
        fprintf(stderr, "%s: %#lx (", functions[which].name, rv);
        for (int i = 0; functions[which].parameters[i] != '\0'; i++)
            fprintf(stderr, " %c=%#lx", functions[which].parameters[i], arguments[i]);
        fprintf(stderr, " )\n");
        _exit(1);
    }
    check_session(which);
}

static void attempt_all(int which)
{
    static const CK_ULONG absurd[] = {0, 1, ~0UL, 1UL << 62, (1UL << 63) - 1};
    CK_ULONG arguments[MOST];
    for (size_t i = 0; i < sizeof absurd / sizeof *absurd; i++) {
        memset(arguments, 0, sizeof arguments);
        for (int j = 0; functions[which].parameters[j] != '\0'; j++) /* no pointers, numbers */
            if (functions[which].parameters[j] == 'u') arguments[j] = absurd[i];
            else if (functions[which].parameters[j] == 's') arguments[j] = session;
        if (is(which, "C_WaitForSlotEvent")) arguments[0] = CKF_DONT_BLOCK;
        attempt(which, arguments);
        refill(absurd[i]);
        fill(which, arguments, absurd[i]); /* pointers, and absurd numbers beside and behind them */
        attempt(which, arguments);
        for (int j = 0; functions[which].parameters[j] != '\0'; j++) { /* each pointer NULL, or at an odd address */
            if (strchr("malp", functions[which].parameters[j]) == NULL) continue;
            CK_ULONG kept = arguments[j];
            refill(absurd[i]);
            arguments[j] = 0;
            attempt(which, arguments);
            refill(absurd[i]);
            arguments[j] = functions[which].parameters[j] == 'p' ? kept + 1 : kept;
            attempt(which, arguments);
            arguments[j] = kept;
        }
        if (functions[which].parameters[0] == 's') { /* a session that never was */
            arguments[0] = absurd[i] ^ 0x5555;
            WANT(CKR_SESSION_HANDLE_INVALID, is(which, "C_GetFunctionStatus") || is(which, "C_CancelFunction")
                                                 ? CKR_SESSION_HANDLE_INVALID : call(which, arguments));
        }
    }
}

int main(int count, char **words)
{
    static const CK_MECHANISM mechanisms[] = {
        {0, NULL, 0}, {CKM_AES_GCM, room, 48}, {CKM_AES_CBC, NULL, 16}, {CKM_RSA_PKCS_PSS, room, ~0UL},
        {CKM_ECDH1_DERIVE, room, sizeof room}, {~0UL, room, 1},
    };
    static const CK_ATTRIBUTE templates[][4] = {
        {{0, NULL, 0}, {0, NULL, 0}, {0, NULL, 0}, {0, NULL, 0}},
        {{CKA_LABEL, NULL, 16}, {CKA_LABEL, room, ~0UL}, {CKA_ID, room, 1UL << 62}, {~0UL, room, 1}},
        {{CKA_CLASS, room, 8}, {CKA_CLASS, room, 8}, {CKA_TOKEN, room, 7}, {CKA_WRAP_TEMPLATE, room, 25}},
        {{CKA_WRAP_TEMPLATE, template, sizeof template}, {CKA_EC_PARAMS, room, 64}, {CKA_VALUE_LEN, numbers, 8}, {CKA_KEY_TYPE, room, 8}},
    };
    CK_UTF8CHAR pin[] = "12345678", label[33] = "bad                             ";
    if (count < 2) return 2;
    load(words[1]);
    before_initialize();
    WANT(CKR_OK, FUNCTION(C_Initialize)(NULL));
    WANT(CKR_OK, FUNCTION(C_InitToken)(0, pin, 8, label));
    WANT(CKR_OK, FUNCTION(C_OpenSession)(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
    size_t most = sizeof mechanisms / sizeof *mechanisms, few = sizeof templates / sizeof *templates;
    int rounds = count > 2 ? atoi(words[2]) : (int)most;
    for (int i = 0; i < rounds; i++) {
        mechanism = mechanisms[(size_t)i % most];
        memcpy(template, templates[(size_t)i % few], sizeof template);
        for (int which = 0; which < FUNCTIONS; which++) {
            /* What a round would only repeat is left out after the first. */
            if (skipped(which) || (i > 0 && strpbrk(functions[which].parameters, "ma") == NULL)) continue;
            attempt_all(which);
        }
    }
    WANT(CKR_OK, FUNCTION(C_Finalize)(NULL));
    return 0;
}
