/* A provider module for OpenSSL, as OPENSSL_CONF may name one, that is itself an application of ours: while it is being
 * loaded it calls the module, and appends what that answered to the file named by REENTER_ANSWERS. */
#include "host.h"

int OSSL_provider_init(const void *handle, const void *in, const void **out, void **context);

__attribute__((visibility("default"))) int OSSL_provider_init(const void *handle, const void *in, const void **out, void **context)
{
    (void)handle, (void)in, (void)out, (void)context;
    const char *path = getenv("REENTER_ANSWERS"), *module = getenv("REENTER_MODULE");
    FILE *file = path != NULL ? fopen(path, "a") : NULL;
    if (file == NULL || module == NULL) return 0;
    CK_ULONG count = 0;
    CK_FUNCTION_LIST *list = NULL;
    load(module);
    fprintf(file, "%#lx ", FUNCTION(C_GetFunctionList)(&list));
    fprintf(file, "%#lx ", FUNCTION(C_Initialize)(NULL));
    fprintf(file, "%#lx\n", FUNCTION(C_GetSlotList)(0, NULL, &count));
    fclose(file);
    return 0;
}
