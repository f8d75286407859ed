/* Threads, stacks and forks: what a host may do around its calls that Python would not survive by itself. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <Python.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "native.h"

struct section ptkc_starting = {PTHREAD_MUTEX_INITIALIZER, 0, 0};
struct section ptkc_loading = {PTHREAD_MUTEX_INITIALIZER, 0, 0};
static struct section lifecycle = {PTHREAD_MUTEX_INITIALIZER, 0, 0};

/* --- Locks -------------------------------------------------------------------------------------------------------- */

static unsigned long myself(void) { return (unsigned long)pthread_self(); }

int ptkc_inside(struct section *section)
{
    return atomic_load_explicit(&section->owner, memory_order_relaxed) == myself();
}

static int holds_gil(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyThreadState_GetUnchecked() != NULL;
#elif PY_VERSION_HEX >= 0x030C0000
    return _PyThreadState_UncheckedGet() != NULL;
#else
    PyThreadState *current = _PyThreadState_UncheckedGet(); /* of whichever thread has the GIL */
    return current != NULL && current == PyGILState_GetThisThreadState();
#endif
}

/* Enter a section, never waiting for it with the GIL held. */
void ptkc_enter(struct section *section)
{
    if (ptkc_inside(section)) {
        section->depth++;
        return;
    }
    if (pthread_mutex_trylock(&section->mutex) != 0) {
        PyThreadState *mine = holds_gil() ? PyEval_SaveThread() : NULL;
        pthread_mutex_lock(&section->mutex);
        if (mine != NULL) PyEval_RestoreThread(mine);
    }
    section->depth = 1;
    atomic_store(&section->owner, myself());
}

void ptkc_leave(struct section *section)
{
    if (!ptkc_inside(section) || --section->depth > 0) return;
    atomic_store(&section->owner, 0);
    pthread_mutex_unlock(&section->mutex);
}

/* In the child of a fork: whoever was inside is gone. */
static void forget(struct section *section)
{
    pthread_mutex_init(&section->mutex, NULL);
    section->depth = 0;
    atomic_store(&section->owner, 0);
}

void ptkc_begin_loading(void) { ptkc_enter(&ptkc_loading); }
void ptkc_end_loading(void) { ptkc_leave(&ptkc_loading); }

int ptkc_lifecycle_enter(void)
{
    if (ptkc_inside(&lifecycle)) return 0;
    ptkc_enter(&lifecycle);
    return 1;
}

void ptkc_lifecycle_leave(void) { ptkc_leave(&lifecycle); }

/* --- Stacks ------------------------------------------------------------------------------------------------------- */

/* Threads of 64 KiB, and fibers whose stack is none of the thread's, get a stack of ours for the call. */
enum { ENOUGH = 256 * 1024, OURS = 8 * 1024 * 1024 };
static __thread char *stack_low, *stack_high;
static _Atomic(char *) spare_stack;

struct crossing { void (*function)(void *); void *argument; ucontext_t here, there; };

static void cross(unsigned int high, unsigned int low)
{
    struct crossing *crossing = (struct crossing *)(((uintptr_t)high << 32) | low);
    crossing->function(crossing->argument);
}

static int has_room(void)
{
    char *here = __builtin_frame_address(0);
    if (stack_high == NULL) {
        pthread_attr_t attributes;
        void *low = NULL;
        size_t size = 0;
        stack_high = (char *)UINTPTR_MAX; /* unknown: trust it */
        if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
            if (pthread_attr_getstack(&attributes, &low, &size) == 0 && size > 0) {
                stack_low = low;
                stack_high = stack_low + size;
            }
            pthread_attr_destroy(&attributes);
        }
    }
    if (stack_high == (char *)UINTPTR_MAX) return 1;
    return here > stack_low && here <= stack_high && here - stack_low >= ENOUGH;
}

static char *new_stack(void)
{
    char *stack = atomic_exchange(&spare_stack, NULL);
    if (stack != NULL) return stack;
    stack = mmap(NULL, OURS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED) return NULL;
    mprotect(stack, (size_t)sysconf(_SC_PAGESIZE), PROT_NONE);
    return stack;
}

/* Apart, since getcontext may return twice for all the compiler knows. */
__attribute__((noinline)) static void run_on(char *stack, struct crossing *crossing)
{
    getcontext(&crossing->there);
    crossing->there.uc_stack.ss_sp = stack;
    crossing->there.uc_stack.ss_size = OURS;
    crossing->there.uc_link = &crossing->here;
    uintptr_t address = (uintptr_t)crossing;
    makecontext(&crossing->there, (void (*)(void))cross, 2, (unsigned int)(address >> 32), (unsigned int)address);
    swapcontext(&crossing->here, &crossing->there);
}

void ptkc_call(void (*function)(void *), void *argument)
{
    char *stack;
    if (has_room() || (stack = new_stack()) == NULL) {
        function(argument);
        return;
    }
    struct crossing crossing = {.function = function, .argument = argument};
    run_on(stack, &crossing);
    stack = atomic_exchange(&spare_stack, stack);
    if (stack != NULL) munmap(stack, OURS);
}

/* --- Fork --------------------------------------------------------------------------------------------------------- */

static PyGILState_STATE fork_gil;
static int fork_entered, fork_taken; /* belong to who is inside `starting` */

static void take_python(void *unused)
{
    (void)unused;
    fork_gil = PyGILState_Ensure();
    PyOS_BeforeFork();
}

static void give_python_back(void *unused)
{
    (void)unused;
    PyOS_AfterFork_Parent();
    PyGILState_Release(fork_gil);
}

static void renew_python(void *unused)
{
    (void)unused;
    PyOS_AfterFork_Child();
    PyGILState_Release(fork_gil);
}

/* A fork of Python's own, os.fork in the host or in us, does by itself what stands here. */
static void before_fork(void)
{
    if (ptkc_inside(&ptkc_starting) || holds_gil()) return;
    ptkc_enter(&ptkc_starting);
    fork_entered = 1;
    fork_taken = ptkc_owns_python();
    if (fork_taken) ptkc_call(take_python, NULL);
}

static void after_fork_in_parent(void)
{
    if (!ptkc_inside(&ptkc_starting) || !fork_entered) return;
    if (fork_taken) ptkc_call(give_python_back, NULL);
    fork_entered = fork_taken = 0;
    ptkc_leave(&ptkc_starting);
}

static void after_fork_in_child(void)
{
    int taken = ptkc_inside(&ptkc_starting) && fork_taken;
    ptkc_set_initialized(0);
    fork_entered = fork_taken = 0;
    forget(&ptkc_starting);
    forget(&ptkc_loading);
    forget(&lifecycle);
    if (taken) ptkc_call(renew_python, NULL);
}

int ptkc_watch_forks(void) { return pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0; }

/* --- Memory ------------------------------------------------------------------------------------------------------- */

int ptkc_is_mapped(char *start, unsigned long length)
{
    unsigned char pages[4096];
    unsigned long page = (unsigned long)sysconf(_SC_PAGESIZE), step = page * sizeof pages;
    unsigned long from = (unsigned long)start & ~(page - 1), end;
    if (__builtin_add_overflow((unsigned long)start, length, &end)) return 0;
    for (; from < end; from += step) {
        unsigned long part = end - from < step ? end - from : step;
        if (mincore((void *)from, part, pages) != 0 && errno == ENOMEM) return 0;
        if (from > ~step) break;
    }
    return 1;
}
