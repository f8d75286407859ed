/* The exported functions, the function lists and the interfaces.
 *
 * functions.inc is made by build.py from the prototypes in pkcs11.h and vendor.h: the functions that do nothing but call
 * their twin in Python, and FUNCTIONS_3_2 and so on, the function lists. Here stand the eight that do more or less than that.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "baked.h"
#include "native.h"

#pragma GCC visibility push(default)
#include "functions.inc"

/* Specification 5.4: C_Initialize. Mutexes of the host's are accepted and not used: ours are the system's. */
static CK_RV initialize_arguments(const CK_C_INITIALIZE_ARGS *arguments)
{
    if (arguments == NULL) return CKR_OK;
    int supplied = (arguments->CreateMutex != NULL) + (arguments->DestroyMutex != NULL) +
                   (arguments->LockMutex != NULL) + (arguments->UnlockMutex != NULL);
    if (supplied != 0 && supplied != 4) return CKR_ARGUMENTS_BAD;
    return arguments->pReserved == NULL ? CKR_OK : CKR_ARGUMENTS_BAD;
}

struct lifecycle_call { CK_RV rv; CK_VOID_PTR argument; };

static void run_initialize(void *argument)
{
    struct lifecycle_call *call = argument;
    call->rv = ptkc_start();
    if (call->rv != CKR_OK) return;
    if (!ptkc_lifecycle_enter()) {
        call->rv = CKR_CRYPTOKI_NOT_INITIALIZED;
        return;
    }
    call->rv = ptkc_admit() == CKR_OK ? CKR_CRYPTOKI_ALREADY_INITIALIZED : ptkc_C_Initialize(call->argument);
    ptkc_lifecycle_leave();
}

CK_RV C_Initialize(CK_VOID_PTR pInitArgs)
{
    CK_RV rv = initialize_arguments(pInitArgs);
    if (rv != CKR_OK) return rv;
    struct lifecycle_call call = {CKR_GENERAL_ERROR, pInitArgs};
    ptkc_call(run_initialize, &call);
    return call.rv;
}

static void run_finalize(void *argument)
{
    struct lifecycle_call *call = argument;
    if (!ptkc_lifecycle_enter()) {
        call->rv = CKR_CRYPTOKI_NOT_INITIALIZED;
        return;
    }
    call->rv = ptkc_admit();
    if (call->rv == CKR_OK) call->rv = ptkc_C_Finalize(call->argument);
    ptkc_lifecycle_leave();
}

CK_RV C_Finalize(CK_VOID_PTR pReserved)
{
    CK_RV rv = ptkc_admit();
    if (rv != CKR_OK) return rv;
    if (pReserved != NULL) return CKR_ARGUMENTS_BAD;
    struct lifecycle_call call = {CKR_GENERAL_ERROR, NULL};
    ptkc_call(run_finalize, &call);
    return call.rv;
}

/* Copy a text into a blank-padded field. */
static void pad(CK_UTF8CHAR *field, size_t size, const char *text)
{
    size_t length = strlen(text);
    memset(field, ' ', size);
    memcpy(field, text, length < size ? length : size);
}

CK_RV C_GetInfo(CK_INFO_PTR pInfo)
{
    CK_RV rv = ptkc_admit();
    if (rv != CKR_OK) return rv;
    if (pInfo == NULL) return CKR_ARGUMENTS_BAD;
    char *end;
    CK_INFO info = {.cryptokiVersion = {CRYPTOKI_VERSION_MAJOR, CRYPTOKI_VERSION_MINOR}};
    pad(info.manufacturerID, sizeof info.manufacturerID, "ptkc");
    pad(info.libraryDescription, sizeof info.libraryDescription, "Software HSM");
    info.libraryVersion.major = (CK_BYTE)strtoul(PTKC_VERSION, &end, 10);
    if (*end == '.') info.libraryVersion.minor = (CK_BYTE)strtoul(end + 1, NULL, 10);
    memcpy((void *)pInfo, &info, sizeof info);
    return CKR_OK;
}

/* The functions of Cryptoki 2 that a library without parallel functions answers so (specification 5.20). */
CK_RV C_GetFunctionStatus(CK_SESSION_HANDLE hSession)
{
    (void)hSession;
    CK_RV rv = ptkc_admit();
    return rv == CKR_OK ? CKR_FUNCTION_NOT_PARALLEL : rv;
}

CK_RV C_CancelFunction(CK_SESSION_HANDLE hSession)
{
    (void)hSession;
    CK_RV rv = ptkc_admit();
    return rv == CKR_OK ? CKR_FUNCTION_NOT_PARALLEL : rv;
}

/* A function list is a version and the pointers. */
typedef void (*function)(void);
#define POINTER(name) (function)name,
struct CK_FUNCTION_LIST { CK_VERSION version; function functions[IN_2_40]; };
static struct CK_FUNCTION_LIST list_2_40 = {{2, 40}, {FUNCTIONS_2_40(POINTER)}};
static struct { CK_VERSION version; function functions[IN_3_0]; } list_3_0 = {{3, 0}, {FUNCTIONS_3_0(POINTER)}};
static struct { CK_VERSION version; function functions[IN_3_2]; } list_3_2 = {{3, 2}, {FUNCTIONS_3_2(POINTER)}};

static struct { CK_VERSION version; function functions[IN_VENDOR]; } list_vendor = {{1, 0}, {FUNCTIONS_VENDOR(POINTER)}};

static CK_UTF8CHAR standard[] = "PKCS 11", vendor[] = "Vendor PTKC";
static CK_INTERFACE interfaces[] = {
    {standard, &list_3_2, 0},
    {standard, &list_3_0, 0},
    {standard, &list_2_40, 0},
    {vendor, &list_vendor, 0},
};
enum { INTERFACES = sizeof interfaces / sizeof *interfaces };

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR ppFunctionList)
{
    if (ppFunctionList == NULL) return CKR_ARGUMENTS_BAD;
    *ppFunctionList = &list_2_40;
    return CKR_OK;
}

CK_RV C_GetInterfaceList(CK_INTERFACE_PTR pInterfacesList, CK_ULONG_PTR pulCount)
{
    if (pulCount == NULL) return CKR_ARGUMENTS_BAD;
    CK_ULONG room = *pulCount;
    *pulCount = INTERFACES;
    if (pInterfacesList == NULL) return CKR_OK;
    if (room < INTERFACES) return CKR_BUFFER_TOO_SMALL;
    memcpy(pInterfacesList, interfaces, sizeof interfaces);
    return CKR_OK;
}

CK_RV C_GetInterface(CK_UTF8CHAR_PTR pInterfaceName, CK_VERSION_PTR pVersion, CK_INTERFACE_PTR_PTR ppInterface,
                     CK_FLAGS flags)
{
    if (ppInterface == NULL) return CKR_ARGUMENTS_BAD;
    const char *name = (const char *)(pInterfaceName != NULL ? pInterfaceName : standard);
    for (size_t i = 0; i < INTERFACES; i++) {
        const CK_VERSION *version = interfaces[i].pFunctionList;
        if (strcmp(name, (const char *)interfaces[i].pInterfaceName) != 0) continue;
        if (pVersion != NULL && (pVersion->major != version->major || pVersion->minor != version->minor)) continue;
        if ((flags & ~interfaces[i].flags) != 0) continue;
        *ppInterface = &interfaces[i];
        return CKR_OK;
    }
    return CKR_FUNCTION_FAILED;
}
#pragma GCC visibility pop
