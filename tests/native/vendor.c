/* The vendor's functions, taken from the interface "Vendor PTKC", with every HSM there is: vendor MODULE HSMS. The HSMs
 * are new and have a user slot and the Admin slot each. Ends with 1 at the first surprise. */
#include "host.h"

enum { MOST = 8, CT_INIT_TOKEN = 0, CT_INIT_PIN, CT_RESET_TOKEN, CT_COPY_OBJECT, CT_HSM_ID_FROM_SLOT_ID, CT_TO_HSM_SESSION,
       CT_GET_HSM_ID, CT_PRESENT_TICKET, CT_FETCH_CERTIFICATE };

static const struct list *vendor;
#define VENDOR(name, place) ((__typeof__(&name))(uintptr_t)vendor->functions[place])
static CK_UTF8CHAR so_pin[] = "so-pin-9876", user_pin[] = "user-pin-1234", other_pin[] = "other-pin-55";
static CK_UTF8CHAR label[33] = "a token                         ", other_label[33] = "emptied                         ";
static const CK_ULONG longest = sizeof so_pin - 1, user_longest = sizeof user_pin - 1, other_longest = sizeof other_pin - 1;
static CK_SESSION_HANDLE administrators[MOST];

static CK_SESSION_HANDLE open_session(CK_SLOT_ID slot)
{
    CK_SESSION_HANDLE session;
    WANT(CKR_OK, FUNCTION(C_OpenSession)(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
    return session;
}

static CK_FLAGS token_flags(CK_SLOT_ID slot)
{
    CK_TOKEN_INFO info;
    WANT(CKR_OK, FUNCTION(C_GetTokenInfo)(slot, &info));
    return info.flags;
}

static void check_numbers(CK_UINT hsms)
{
    CK_ULONG count = 0;
    CK_UINT hsm = 99;
    WANT(CKR_OK, FUNCTION(C_GetSlotList)(CK_TRUE, NULL, &count));
    WANT(2 * hsms, count);
    for (CK_SLOT_ID slot = 0; slot < count; slot++) {
        WANT(CKR_OK, VENDOR(CT_HsmIdFromSlotId, CT_HSM_ID_FROM_SLOT_ID)(slot, &hsm));
        WANT(slot / 2, hsm);
        WANT(slot % 2, (token_flags(slot) & CKF_ADMIN_TOKEN) != 0);
    }
    WANT(CKR_SLOT_ID_INVALID, VENDOR(CT_HsmIdFromSlotId, CT_HSM_ID_FROM_SLOT_ID)(count, &hsm));
    WANT(CKR_ARGUMENTS_BAD, VENDOR(CT_HsmIdFromSlotId, CT_HSM_ID_FROM_SLOT_ID)(0, NULL));
}

/* A session of the Administrator, who is made first. */
static CK_SESSION_HANDLE administrator(CK_SLOT_ID slot)
{
    WANT(CKR_OK, FUNCTION(C_InitToken)(slot, so_pin, longest, label));
    CK_SESSION_HANDLE session = open_session(slot);
    WANT(CKR_OK, FUNCTION(C_Login)(session, CKU_SO, so_pin, longest));
    WANT(CKR_OK, FUNCTION(C_InitPIN)(session, user_pin, user_longest));
    WANT(CKR_OK, FUNCTION(C_Logout)(session));
    WANT(CKR_USER_NOT_LOGGED_IN, VENDOR(CT_InitToken, CT_INIT_TOKEN)(session, slot - 1, so_pin, longest, label));
    WANT(CKR_OK, FUNCTION(C_Login)(session, CKU_USER, user_pin, user_longest));
    return session;
}

static void check_sessions(CK_SESSION_HANDLE session, CK_ULONG hsm)
{
    CK_ULONG number = 99;
    CK_SESSION_HANDLE same = 0;
    WANT(CKR_OK, VENDOR(CT_GetHSMId, CT_GET_HSM_ID)(session, &number));
    WANT(hsm, number);
    WANT(CKR_OK, VENDOR(CT_ToHsmSession, CT_TO_HSM_SESSION)(session, &same));
    WANT(session, same);
    WANT(CKR_SESSION_HANDLE_INVALID, VENDOR(CT_GetHSMId, CT_GET_HSM_ID)(0, &number));
    WANT(CKR_SESSION_HANDLE_INVALID, VENDOR(CT_ToHsmSession, CT_TO_HSM_SESSION)(0, &same));
}

static void check_init(CK_SESSION_HANDLE session, CK_SLOT_ID slot, CK_UINT hsms)
{
    __typeof__(&CT_InitToken) init = VENDOR(CT_InitToken, CT_INIT_TOKEN);
    WANT(CKR_ARGUMENTS_BAD, init(session, slot, so_pin, longest, NULL));
    WANT(CKR_ARGUMENTS_BAD, init(session, slot, NULL, longest, label));
    WANT(CKR_SESSION_HANDLE_INVALID, init(0, slot, so_pin, longest, label));
    WANT(CKR_SLOT_ID_INVALID, init(session, slot + 1, so_pin, longest, label)); /* our own Admin token */
    WANT(CKR_SLOT_ID_INVALID, init(session, 2 * hsms, so_pin, longest, label));
    if (hsms > 1) WANT(CKR_SLOT_ID_INVALID, init(session, (slot + 2) % (2 * hsms), so_pin, longest, label));
    WANT(0, token_flags(slot) & CKF_TOKEN_INITIALIZED);
    WANT(CKR_OK, init(session, slot, so_pin, longest, label));
    WANT(CKF_TOKEN_INITIALIZED, token_flags(slot) & CKF_TOKEN_INITIALIZED);
    WANT(CKR_SLOT_ID_INVALID, init(session, slot, so_pin, longest, label));

    CK_SESSION_HANDLE own = open_session(slot);
    WANT(CKR_NOT_ADMIN_TOKEN, init(own, slot, so_pin, longest, label));
    __typeof__(&CT_InitPIN) pin = VENDOR(CT_InitPIN, CT_INIT_PIN);
    WANT(CKR_USER_NOT_LOGGED_IN, pin(own, CKU_USER, user_pin, user_longest));
    WANT(CKR_OK, FUNCTION(C_Login)(own, CKU_SO, so_pin, longest));
    WANT(CKR_USER_TYPE_INVALID, pin(own, 77, user_pin, user_longest));
    WANT(CKR_OK, pin(own, CKU_USER, user_pin, user_longest));
    WANT(CKR_PIN_ALREADY_INITIALIZED, pin(own, CKU_USER, other_pin, other_longest));
    WANT(CKR_OK, FUNCTION(C_CloseSession)(own));
}

static CK_OBJECT_HANDLE data_object(CK_SESSION_HANDLE session, CK_BBOOL token)
{
    CK_ULONG class = CKO_DATA;
    CK_BBOOL no = CK_FALSE;
    CK_BYTE value[] = "value";
    CK_OBJECT_HANDLE object;
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof class}, {CKA_TOKEN, &token, 1}, {CKA_PRIVATE, &no, 1}, {CKA_VALUE, value, 5},
    };
    WANT(CKR_OK, FUNCTION(C_CreateObject)(session, template, 4, &object));
    return object;
}

static void check_copy(CK_SESSION_HANDLE destination, CK_SLOT_ID slot, CK_SESSION_HANDLE elsewhere)
{
    __typeof__(&CT_CopyObject) copy = VENDOR(CT_CopyObject, CT_COPY_OBJECT);
    CK_SESSION_HANDLE source = open_session(slot);
    CK_OBJECT_HANDLE object = data_object(source, CK_FALSE), made = 0;
    CK_BYTE value[8] = "", name[] = "copied";
    CK_ATTRIBUTE said = {CKA_VALUE, value, sizeof value}, template = {CKA_LABEL, name, 6};
    WANT(CKR_OBJECT_HANDLE_INVALID, copy(destination, destination, object, NULL, 0, &made));
    WANT(CKR_SESSION_HANDLE_INVALID, copy(destination, 0, object, NULL, 0, &made));
    WANT(CKR_SESSION_HANDLE_INVALID, copy(0, source, object, NULL, 0, &made));
    if (elsewhere != 0) WANT(CKR_SESSION_HANDLE_INVALID, copy(elsewhere, source, object, NULL, 0, &made));
    WANT(CKR_ARGUMENTS_BAD, copy(destination, source, object, NULL, 0, NULL));
    WANT(CKR_OK, copy(destination, source, object, &template, 1, &made));
    WANT(CKR_OBJECT_HANDLE_INVALID, FUNCTION(C_GetAttributeValue)(source, made, &said, 1));
    WANT(CKR_OK, FUNCTION(C_GetAttributeValue)(destination, made, &said, 1));
    WANT(5, said.ulValueLen);
    WANT(0, (unsigned long)memcmp("value", value, 5));
    WANT(CKR_OK, FUNCTION(C_CloseSession)(source));
}

static CK_ULONG count_objects(CK_SESSION_HANDLE session)
{
    CK_OBJECT_HANDLE found[4];
    CK_ULONG count = 99;
    WANT(CKR_OK, FUNCTION(C_FindObjectsInit)(session, NULL, 0));
    WANT(CKR_OK, FUNCTION(C_FindObjects)(session, found, 4, &count));
    WANT(CKR_OK, FUNCTION(C_FindObjectsFinal)(session));
    return count;
}

static void check_reset(CK_SLOT_ID slot)
{
    __typeof__(&CT_ResetToken) reset = VENDOR(CT_ResetToken, CT_RESET_TOKEN);
    CK_SESSION_HANDLE session = open_session(slot), other = open_session(slot);
    CK_SESSION_INFO info;
    CK_TOKEN_INFO token;
    WANT(CKR_USER_NOT_LOGGED_IN, reset(session, other_pin, other_longest, other_label));
    WANT(CKR_OK, FUNCTION(C_Login)(session, CKU_USER, user_pin, user_longest));
    data_object(session, CK_TRUE);
    WANT(1, count_objects(session));
    WANT(CKR_USER_NOT_LOGGED_IN, reset(session, other_pin, other_longest, other_label));
    WANT(CKR_OK, FUNCTION(C_Logout)(session));
    WANT(CKR_OK, FUNCTION(C_Login)(session, CKU_SO, so_pin, longest));
    WANT(CKR_SESSION_EXISTS, reset(session, other_pin, other_longest, other_label));
    WANT(CKR_OK, FUNCTION(C_CloseSession)(other));
    WANT(CKR_ARGUMENTS_BAD, reset(session, other_pin, other_longest, NULL));
    WANT(CKR_PIN_LEN_RANGE, reset(session, other_pin, 0, other_label));
    WANT(CKR_OK, reset(session, other_pin, other_longest, other_label));
    WANT(CKR_SESSION_HANDLE_INVALID, FUNCTION(C_GetSessionInfo)(session, &info));
    WANT(CKR_SESSION_HANDLE_INVALID, reset(session, other_pin, other_longest, other_label));
    WANT(CKR_OK, FUNCTION(C_GetTokenInfo)(slot, &token));
    WANT(0, (unsigned long)memcmp(other_label, token.label, 32));
    WANT(CKF_TOKEN_INITIALIZED, token.flags & (CKF_TOKEN_INITIALIZED | CKF_USER_PIN_INITIALIZED));
    WANT(0, token.ulSessionCount);
    session = open_session(slot);
    WANT(0, count_objects(session));
    WANT(CKR_USER_PIN_NOT_INITIALIZED, FUNCTION(C_Login)(session, CKU_USER, user_pin, user_longest));
    WANT(CKR_PIN_INCORRECT, FUNCTION(C_Login)(session, CKU_SO, so_pin, longest));
    WANT(CKR_OK, FUNCTION(C_Login)(session, CKU_SO, other_pin, other_longest));
    WANT(CKR_OK, FUNCTION(C_CloseSession)(session));
}

static void check_ticket(CK_SESSION_HANDLE session)
{
    CK_BYTE ticket[] = "no ticket";
    CK_MECHANISM mechanism = {CKM_SET_ATTRIBUTES, NULL, 0};
    __typeof__(&CT_PresentTicket) present = VENDOR(CT_PresentTicket, CT_PRESENT_TICKET);
    WANT(CKR_ARGUMENTS_BAD, present(session, 1, NULL, ticket, 9));
    WANT(CKR_ARGUMENTS_BAD, present(session, 1, &mechanism, NULL, 9));
    WANT(CKR_SESSION_HANDLE_INVALID, present(0, 1, &mechanism, ticket, 9));
    WANT(CKR_OBJECT_HANDLE_INVALID, present(session, 1UL << 40, &mechanism, ticket, 9));
    mechanism.mechanism = CKM_SHA256;
    WANT(CKR_MECHANISM_INVALID, present(session, 1, &mechanism, ticket, 9));
}

static void check_certificate(CK_SESSION_HANDLE session, CK_UINT hsm, CK_UINT hsms)
{
    __typeof__(&CT_FetchCertificate) fetch = VENDOR(CT_FetchCertificate, CT_FETCH_CERTIFICATE);
    CK_BYTE der[4096] = "";
    CK_ULONG length = sizeof der, needed = 0;
    WANT(CKR_OBJECT_HANDLE_INVALID, fetch(hsm, CKA_LOCAL_IDENTITY_CERT, der, &length));
    WANT(CKR_OBJECT_HANDLE_INVALID, fetch(hsm, CKA_HSM_OWNER_CERT, NULL, &length));
    WANT(CKR_OBJECT_HANDLE_INVALID, fetch(hsm, CKA_HSM_ROOT_CERT, NULL, &length));
    WANT(CKR_ATTRIBUTE_TYPE_INVALID, fetch(hsm, CKA_VALUE, der, &length));
    WANT(CKR_ARGUMENTS_BAD, fetch(hsms, CKA_LOCAL_IDENTITY_CERT, der, &length));
    WANT(CKR_ARGUMENTS_BAD, fetch(hsm, CKA_LOCAL_IDENTITY_CERT, der, NULL));

    CK_BBOOL self_sign = CK_TRUE;
    CK_MECHANISM generate = {CKM_GEN_PIK_ECC_P521, &self_sign, sizeof self_sign};
    CK_OBJECT_HANDLE public_key, private_key;
    WANT(CKR_OK, FUNCTION(C_GenerateKeyPair)(session, &generate, NULL, 0, NULL, 0, &public_key, &private_key));
    WANT(CKR_OK, fetch(hsm, CKA_LOCAL_IDENTITY_CERT, NULL, &needed));
    length = needed - 1;
    WANT(CKR_BUFFER_TOO_SMALL, fetch(hsm, CKA_LOCAL_IDENTITY_CERT, der, &length));
    WANT(needed, length);
    length = sizeof der;
    WANT(CKR_OK, fetch(hsm, CKA_LOCAL_IDENTITY_CERT, der, &length));
    WANT(needed, length);
    WANT(0x3082, (unsigned long)der[0] << 8 | der[1]);
}

int main(int count, char **words)
{
    CK_INTERFACE *interface = NULL;
    CK_UTF8CHAR name[] = "Vendor PTKC";
    CK_VERSION version = {1, 0};
    if (count < 3) return 2;
    CK_UINT hsms = (CK_UINT)atoi(words[2]);
    load(words[1]);
    WANT(CKR_OK, FUNCTION(C_GetInterface)(name, &version, &interface, 0));
    vendor = interface->pFunctionList;
    WANT(CKR_CRYPTOKI_NOT_INITIALIZED, VENDOR(CT_GetHSMId, CT_GET_HSM_ID)(1, NULL));
    WANT(CKR_OK, FUNCTION(C_Initialize)(NULL));
    check_numbers(hsms);
    for (CK_UINT hsm = 0; hsm < hsms; hsm++) administrators[hsm] = administrator(2 * hsm + 1);
    for (CK_UINT hsm = 0; hsm < hsms; hsm++) {
        CK_SESSION_HANDLE session = administrators[hsm];
        check_sessions(session, hsm);
        check_init(session, 2 * hsm, hsms);
        check_copy(session, 2 * hsm, hsms > 1 ? administrators[(hsm + 1) % hsms] : 0);
        check_reset(2 * hsm);
        check_ticket(session);
        check_certificate(session, hsm, hsms);
    }
    WANT(CKR_OK, FUNCTION(C_Finalize)(NULL));
    return 0;
}
