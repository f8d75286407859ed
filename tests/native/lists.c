/* Function lists and interfaces, before and after C_Initialize: lists MODULE. Ends with 1 at the first surprise. */
#include "host.h"

static const char *const names[] = {
#define NAME(name) #name,
#include "names.inc"
};
static const char *const vendor_names[] = {
#include "vendor_names.inc"
};
enum { VENDOR_NAMES = sizeof vendor_names / sizeof *vendor_names, INTERFACES = 4 };

static const struct list *interface(const char *name, int major, int minor, CK_FLAGS flags, CK_RV want)
{
    CK_VERSION version = {(CK_BYTE)major, (CK_BYTE)minor};
    CK_INTERFACE *found = NULL;
    CK_UTF8CHAR wanted[64];
    strcpy((char *)wanted, name != NULL ? name : "");
    WANT(want, FUNCTION(C_GetInterface)(name != NULL ? wanted : NULL, major ? &version : NULL, &found, flags));
    WANT(want == CKR_OK, found != NULL);
    return found != NULL ? found->pFunctionList : NULL;
}

static void compare_with(const char *const *names, const struct list *list, int major, int minor, int functions)
{
    WANT((unsigned long)major, list->version.major);
    WANT((unsigned long)minor, list->version.minor);
    for (int i = 0; i < functions; i++) WANT((unsigned long)symbol(names[i]), (unsigned long)list->functions[i]);
}

static void compare(const struct list *list, int major, int minor, int functions)
{
    compare_with(names, list, major, minor, functions);
}

static void check_lists(void)
{
    CK_FUNCTION_LIST *old = NULL;
    CK_ULONG count = 99;
    CK_INTERFACE found[INTERFACES];
    WANT(CKR_ARGUMENTS_BAD, FUNCTION(C_GetFunctionList)(NULL));
    WANT(CKR_OK, FUNCTION(C_GetFunctionList)(&old));
    compare((const struct list *)old, 2, 40, 68);

    WANT(CKR_ARGUMENTS_BAD, FUNCTION(C_GetInterfaceList)(NULL, NULL));
    WANT(CKR_OK, FUNCTION(C_GetInterfaceList)(NULL, &count));
    WANT(INTERFACES, count);
    count = INTERFACES - 1;
    WANT(CKR_BUFFER_TOO_SMALL, FUNCTION(C_GetInterfaceList)(found, &count));
    WANT(INTERFACES, count);
    WANT(CKR_OK, FUNCTION(C_GetInterfaceList)(found, &count));
    WANT(INTERFACES, count);
    static const int versions[][3] = {{3, 2, 104}, {3, 0, 92}, {2, 40, 68}};
    for (int i = 0; i < 3; i++) {
        WANT(0, (unsigned long)strcmp("PKCS 11", (char *)found[i].pInterfaceName));
        WANT(0, found[i].flags);
        compare(found[i].pFunctionList, versions[i][0], versions[i][1], versions[i][2]);
        compare(interface("PKCS 11", versions[i][0], versions[i][1], 0, CKR_OK), versions[i][0], versions[i][1], versions[i][2]);
        compare(interface(NULL, versions[i][0], versions[i][1], 0, CKR_OK), versions[i][0], versions[i][1], versions[i][2]);
    }
    WANT(0, (unsigned long)strcmp("Vendor PTKC", (char *)found[3].pInterfaceName));
    WANT(0, found[3].flags);
    compare_with(vendor_names, found[3].pFunctionList, 1, 0, VENDOR_NAMES);
    compare_with(vendor_names, interface("Vendor PTKC", 1, 0, 0, CKR_OK), 1, 0, VENDOR_NAMES);
    compare_with(vendor_names, interface("Vendor PTKC", 0, 0, 0, CKR_OK), 1, 0, VENDOR_NAMES);
    interface("Vendor PTKC", 3, 2, 0, CKR_FUNCTION_FAILED);
    interface("PKCS 11", 1, 0, 0, CKR_FUNCTION_FAILED);
    interface(NULL, 1, 0, 0, CKR_FUNCTION_FAILED);
    compare(interface(NULL, 0, 0, 0, CKR_OK), 3, 2, 104);
    compare(interface("PKCS 11", 0, 0, 0, CKR_OK), 3, 2, 104);
    interface("PKCS 11", 3, 1, 0, CKR_FUNCTION_FAILED);
    interface("PKCS 12", 0, 0, 0, CKR_FUNCTION_FAILED);
    interface("PKCS 1", 0, 0, 0, CKR_FUNCTION_FAILED);
    interface(NULL, 0, 0, CKF_INTERFACE_FORK_SAFE, CKR_FUNCTION_FAILED);
    WANT(CKR_ARGUMENTS_BAD, FUNCTION(C_GetInterface)(NULL, NULL, NULL, 0));
}

int main(int count, char **words)
{
    CK_INFO info;
    if (count < 2) return 2;
    load(words[1]);
    check_lists();
    WANT(CKR_CRYPTOKI_NOT_INITIALIZED, FUNCTION(C_GetInfo)(&info));
    WANT(CKR_CRYPTOKI_NOT_INITIALIZED, FUNCTION(C_GetInfo)(NULL));
    WANT(CKR_CRYPTOKI_NOT_INITIALIZED, FUNCTION(C_GetFunctionStatus)(1));
    WANT(CKR_OK, FUNCTION(C_Initialize)(NULL));
    check_lists();
    WANT(CKR_ARGUMENTS_BAD, FUNCTION(C_GetInfo)(NULL));
    WANT(CKR_OK, FUNCTION(C_GetInfo)(&info));
    WANT(3, info.cryptokiVersion.major);
    WANT(2, info.cryptokiVersion.minor);
    WANT(0, info.flags);
    WANT(0, (unsigned long)memcmp("ptkc                            ", info.manufacturerID, 32));
    WANT(CKR_FUNCTION_NOT_PARALLEL, FUNCTION(C_GetFunctionStatus)(1));
    WANT(CKR_FUNCTION_NOT_PARALLEL, FUNCTION(C_CancelFunction)(1));
    WANT(CKR_OK, FUNCTION(C_Finalize)(NULL));
    return 0;
}
