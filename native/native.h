/* Between cryptoki.c, interpreter.c, places.c, threads.c and the generated C. */
#ifndef PTKC_NATIVE_H
#define PTKC_NATIVE_H

#include <pthread.h>
#include <stdatomic.h>

#include "vendor.h"

/* --- interpreter.c ------------------------------------------------------------------------------------------------ */

/* CKR_OK if the calling thread may go to Python now, else the CK_RV to answer. */
CK_RV ptkc_admit(void);

/* Start Python or join the host's, once; any number of threads may ask. */
CK_RV ptkc_start(void);

/* Whether there is a Python of ours, which a fork has to take along. */
int ptkc_owns_python(void);

/* What Python calls, as bridge.h declares it for cffi; that file's CK_ATTRIBUTE is not the one of pkcs11.h. */
void ptkc_set_ready(void);
void ptkc_set_initialized(int initialized);
void ptkc_begin_loading(void);
void ptkc_end_loading(void);
void ptkc_log(char *line);
int ptkc_secure(void);
char *ptkc_library_version(void);
int ptkc_is_mapped(char *start, unsigned long length);

/* cffi's own start, which runs start.py. */
int ptkc_start_cffi(void);

/* --- places.c ----------------------------------------------------------------------------------------------------- */

enum { LONGEST = 4096, MOST_SITES = 16 };

/* Where the shared object is (its real path), and the version of the Python in this process, as it says itself. */
extern char ptkc_library_path[LONGEST], ptkc_running[128];

/* The directories that Python is to search. */
struct places { char stdlib[LONGEST]; char *sites[MOST_SITES]; int number; };

/* Find the standard library of a libpython, or the site-packages of the shared object. False, and logged, if not. */
int ptkc_find_stdlib(struct places *places, const char *libpython);
int ptkc_find_sites(struct places *places);
void ptkc_free_places(struct places *places);

/* Log why something is refused. Always false. */
__attribute__((format(printf, 1, 2))) int ptkc_refuse(const char *format, ...);

/* --- threads.c ---------------------------------------------------------------------------------------------------- */

/* A lock whose owner can be asked for; `depth` belongs to the owner. Order: starting, the store's, loading. */
struct section { pthread_mutex_t mutex; _Atomic unsigned long owner; int depth; };
extern struct section ptkc_starting, ptkc_loading;

int ptkc_inside(struct section *section);
void ptkc_enter(struct section *section);
void ptkc_leave(struct section *section);

/* One C_Initialize or C_Finalize at a time. False: this thread is inside one. */
int ptkc_lifecycle_enter(void);
void ptkc_lifecycle_leave(void);

/* Run `function` on a stack that is large enough for Python: the caller's own in most hosts. */
void ptkc_call(void (*function)(void *), void *argument);

/* Have forks of this process wait for start-up, take our Python along, and begin anew in the child. */
int ptkc_watch_forks(void);

#endif
