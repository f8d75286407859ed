/* Between cryptoki.c, interpreter.c and the generated C. */
#ifndef PTKC_NATIVE_H
#define PTKC_NATIVE_H

#include "pkcs11.h"

/* CKR_OK if the calling thread may go to Python now, else the CK_RV to answer. */
CK_RV ptkc_admit(void);

/* Start Python or join the host's, once; any number of threads may ask. */
CK_RV ptkc_start(void);

/* Run `function` on a stack that is large enough for Python: the caller's own in most hosts. */
void ptkc_call(void (*function)(void *), void *argument);

/* One C_Initialize or C_Finalize at a time. False: this thread is inside one, or inside start-up. */
int ptkc_lifecycle_enter(void);
void ptkc_lifecycle_leave(void);

#endif
