/* What the C programs of the tests share: load the module as an application does, and stop at the first surprise. */
#ifndef HOST_H
#define HOST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vendor.h"

typedef void (*function)(void);
struct list { CK_VERSION version; function functions[104]; };

/* Places in the function lists, from 0. */
enum {
    INITIALIZE = 0, FINALIZE = 1, GET_INFO = 2, GET_FUNCTION_LIST = 3, GET_SLOT_LIST = 4, GET_TOKEN_INFO = 6,
    GET_INTERFACE_LIST = 68, GET_INTERFACE = 69
};

#define WANT(wanted, call)                                                                              \
    do {                                                                                                \
        unsigned long wanted_ = (wanted), got_ = (call);                                                \
        if (wanted_ != got_) {                                                                          \
            fprintf(stderr, "%s:%d: %s: %#lx, want %#lx\n", __FILE__, __LINE__, #call, got_, wanted_);  \
            _exit(1);                                                                                   \
        }                                                                                               \
    } while (0)

static void *library;

static void *symbol(const char *name)
{
    void *found = dlsym(library, name);
    if (found == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        _exit(1);
    }
    return found;
}

#define FUNCTION(name) ((__typeof__(&name))(uintptr_t)symbol(#name))

static inline void load(const char *path)
{
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        _exit(1);
    }
}

#endif
