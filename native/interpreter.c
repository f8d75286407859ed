/* Living inside a foreign process: start Python or join the host's, and survive threads, forks and re-entry.
 *
 * A host may have Python (then its interpreter is shared), or not (then we start one and never end it). Whatever is
 * refused here is said once in the log file and answered with CKR_GENERAL_ERROR; nothing is ever printed.
 */
#define PY_SSIZE_T_CLEAN
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <Python.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#ifdef PTKC_LIBCRYPTO
#include <openssl/crypto.h>
#endif

#include "baked.h"
#include "native.h"

/* bridge.h is for Python's side: its CK_ATTRIBUTE is not the one of pkcs11.h. */
void ptkc_set_ready(void);
void ptkc_set_initialized(int initialized);
void ptkc_begin_loading(void);
void ptkc_end_loading(void);
void ptkc_log(char *line);
int ptkc_secure(void);
char *ptkc_library_version(void);
int ptkc_is_mapped(char *start, unsigned long length);
int ptkc_start_cffi(void);

enum { LONGEST = 4096 };
enum state { COLD, READY, FAILED };

static _Atomic int state = COLD;
static _Atomic int ready, initialized;
static int guest;
static PyInterpreterState *interpreter;
static char library_path[LONGEST], running[128];

/* A lock whose owner can be asked for; `depth` belongs to the owner. Order: starting, the store's, loading. */
struct section { pthread_mutex_t mutex; _Atomic unsigned long owner; int depth; };
static struct section starting = {PTHREAD_MUTEX_INITIALIZER, 0, 0};
static struct section loading = {PTHREAD_MUTEX_INITIALIZER, 0, 0};
static struct section lifecycle = {PTHREAD_MUTEX_INITIALIZER, 0, 0};

/* --- What the bridge asks ----------------------------------------------------------------------------------------- */

void ptkc_set_ready(void) { atomic_store(&ready, 1); }
void ptkc_set_initialized(int value) { atomic_store(&initialized, value != 0); }
int ptkc_secure(void) { return getauxval(AT_SECURE) != 0; }
char *ptkc_library_version(void) { return (char *)(uintptr_t)PTKC_VERSION; }

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

/* The same line format and the same care as ptkc/log.py, for what must be said before Python can say it. */
void ptkc_log(char *line)
{
    const char *path = secure_getenv("ET_PTKC_LOGGER_FILE");
    if (path == NULL || *path == '\0') return;
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (file >= 0 && file <= 2) {
        int low = file;
        file = fcntl(low, F_DUPFD_CLOEXEC, 3);
        close(low);
    }
    if (file < 0) return;
    struct stat found;
    if (fstat(file, &found) == 0 && S_ISREG(found.st_mode) && found.st_nlink == 1) {
        struct timespec now;
        struct tm parts;
        char text[LONGEST + 128];
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &parts);
        size_t length = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
        length += (size_t)snprintf(text + length, sizeof text - length, ".%03ldZ %ld/%ld note: ", now.tv_nsec / 1000000,
                                   (long)getpid(), (long)syscall(SYS_gettid));
        for (const char *c = line; *c != '\0' && length < sizeof text - 1; c++)
            text[length++] = (unsigned char)*c < ' ' || *c == 127 ? '?' : *c;
        text[length++] = '\n';
        if (write(file, text, length) < 0) { /* a log that cannot be written never makes a call fail */
        }
    }
    close(file);
}

/* Log why we do not start. Always false. */
__attribute__((format(printf, 1, 2))) static int refuse(const char *format, ...)
{
    char line[LONGEST];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    ptkc_log(line);
    return 0;
}

/* --- Locks -------------------------------------------------------------------------------------------------------- */

static unsigned long myself(void) { return (unsigned long)pthread_self(); }

static int inside(struct section *section)
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
static void enter(struct section *section)
{
    if (inside(section)) {
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

static void leave(struct section *section)
{
    if (!inside(section) || --section->depth > 0) return;
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

void ptkc_begin_loading(void) { enter(&loading); }
void ptkc_end_loading(void) { leave(&loading); }

int ptkc_lifecycle_enter(void)
{
    if (inside(&lifecycle)) return 0;
    enter(&lifecycle);
    return 1;
}

void ptkc_lifecycle_leave(void) { leave(&lifecycle); }

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

/* --- Who may come in ---------------------------------------------------------------------------------------------- */

CK_RV ptkc_admit(void)
{
    if (!atomic_load_explicit(&initialized, memory_order_acquire)) return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (inside(&loading)) return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (!Py_IsInitialized()) return CKR_GENERAL_ERROR;
    if (guest) {
        /* cffi would answer CKR_OK from a sub-interpreter. */
        PyThreadState *mine = PyGILState_GetThisThreadState();
        if (mine != NULL && PyThreadState_GetInterpreter(mine) != interpreter) return CKR_GENERAL_ERROR;
    }
    return CKR_OK;
}

/* False if the process runs a Python that we were not built for. Asked before any other function of Python's. */
static int version_fits(void)
{
    size_t length = strlen(PTKC_PYTHON);
    if (strncmp(running, PTKC_PYTHON, length) != 0 || running[length] != '.')
        return refuse("this process runs Python %.*s and %s was built for Python " PTKC_PYTHON
                      ": install ptkc with the Python of this process, or load the library in a process without Python",
                      (int)strcspn(running, " "), running, library_path);
    if (strstr(running, "free-threading") != NULL)
        return refuse("this process runs a free-threaded Python, which ptkc does not support: use the ordinary build");
    return 1;
}

/* False if the calling thread is in a sub-interpreter. */
static int in_main_interpreter(void)
{
    static const char reason[] = "ptkc was called from a sub-interpreter: load it in the main interpreter of the process";
    PyInterpreterState *main = PyInterpreterState_Main();
    PyThreadState *mine = PyGILState_GetThisThreadState();
    if (mine != NULL && PyThreadState_GetInterpreter(mine) != main) return refuse(reason);
#if PY_VERSION_HEX < 0x030C0000
    /* There, the thread state found above stays that of the main interpreter. */
    PyInterpreterState *other = PyInterpreterState_Head();
    if (other != NULL && PyInterpreterState_Next(other) != NULL) {
        PyThreadState *current = _PyThreadState_UncheckedGet();
        unsigned long here = PyThread_get_thread_ident();
        if (current != NULL && current->thread_id == here && PyThreadState_GetInterpreter(current) != main)
            return refuse(reason);
        int found = 0;
        PyGILState_STATE gil = PyGILState_Ensure();
        for (; other != NULL && !found; other = PyInterpreterState_Next(other)) {
            PyThreadState *thread = other == main ? NULL : PyInterpreterState_ThreadHead(other);
            for (; thread != NULL && !found; thread = PyThreadState_Next(thread)) {
                PyFrameObject *frame = thread->thread_id == here ? PyThreadState_GetFrame(thread) : NULL;
                found = frame != NULL;
                Py_XDECREF(frame);
            }
        }
        PyGILState_Release(gil);
        if (found) return refuse(reason);
    }
#endif
    return 1;
}

/* --- Where things are --------------------------------------------------------------------------------------------- */

struct places { char stdlib[LONGEST]; char *sites[16]; int number; };

/* At load: the path may be relative to a working directory that the host leaves, and Py_GetVersion is not made for
 * threads: it writes to a buffer of its own at each call. */
__attribute__((constructor)) static void remember_place(void)
{
    snprintf(running, sizeof running, "%s", Py_GetVersion());
    Dl_info found;
    if (dladdr((void *)(uintptr_t)remember_place, &found) == 0 || realpath(found.dli_fname, library_path) == NULL)
        library_path[0] = '\0';
}

__attribute__((format(printf, 1, 2))) static int exists(const char *format, ...)
{
    char path[LONGEST];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(path, sizeof path, format, arguments);
    va_end(arguments);
    return length > 0 && (size_t)length < sizeof path && access(path, F_OK) == 0;
}

static void add_site(struct places *places, const char *path, size_t length)
{
    if (length == 0 || places->number == (int)(sizeof places->sites / sizeof *places->sites)) return;
    char *copy = strndup(path, length);
    if (copy == NULL || !exists("%s", copy)) {
        free(copy);
        return;
    }
    for (int i = 0; i < places->number; i++) {
        if (strcmp(places->sites[i], copy) == 0) {
            free(copy);
            return;
        }
    }
    places->sites[places->number++] = copy;
}

static void add_sites(struct places *places, const char *list)
{
    for (; *list != '\0'; list += strspn(list, ":")) {
        size_t length = strcspn(list, ":");
        add_site(places, list, length);
        list += length;
    }
}

/* Whether `root` is the site-packages of a virtual environment that does not see its base's packages. */
static int is_closed(const char *root)
{
    char path[LONGEST], line[1024];
    int closed = 1;
    if (snprintf(path, sizeof path, "%s/../../../pyvenv.cfg", root) >= (int)sizeof path) return 0;
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "include-system-site-packages", 28) == 0 && strstr(line, "true") != NULL) closed = 0;
    fclose(file);
    return closed;
}

/* The standard library that belongs to the libpython in use; where it was at build time, last. */
static int find_stdlib(struct places *places, const char *libpython)
{
    static const char *const layouts[] = {"%s/python" PTKC_PYTHON, "%s/../lib/python" PTKC_PYTHON, "%s/../python" PTKC_PYTHON};
    char real[LONGEST], directory[LONGEST];
    if (libpython != NULL && realpath(libpython, real) != NULL && strrchr(real, '/') != NULL) {
        *strrchr(real, '/') = '\0';
        for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            int length = snprintf(directory, sizeof directory, layouts[i], real);
#pragma GCC diagnostic pop
            if (length < (int)sizeof directory && exists("%s/os.py", directory) && realpath(directory, places->stdlib) != NULL)
                return 1;
        }
    }
    strcpy(places->stdlib, PTKC_STDLIB);
    if (exists("%s/os.py", places->stdlib)) return 1;
    return refuse("no Python standard library beside %s nor in %s", libpython != NULL ? libpython : "?", PTKC_STDLIB);
}

static int find_sites(struct places *places)
{
    char root[LONGEST];
    strcpy(root, library_path);
    char *name = strrchr(root, '/'), *package = NULL;
    if (name != NULL) {
        *name = '\0';
        package = strrchr(root, '/');
    }
    if (package == NULL || strcmp(package, "/ptkc") != 0 || !exists("%s/provider.py", root))
        return refuse("%s is not in the package `ptkc` that it was built for: load it from where it was installed "
                      "(`ptkc module` prints the path), or make a symbolic link to there instead of a copy",
                      library_path[0] != '\0' ? library_path : "libptkc.so");
    *package = '\0';
    add_site(places, root, strlen(root));
    add_sites(places, PTKC_TREE_SITES);
    if (!is_closed(root)) add_sites(places, PTKC_SHARED_SITES);
    return 1;
}

static void free_places(struct places *places)
{
    while (places->number > 0) free(places->sites[--places->number]);
}

/* --- Python of our own -------------------------------------------------------------------------------------------- */

/* The host opened us RTLD_LOCAL; extension modules look for Python's symbols in the global scope. */
static int promote(const char **libpython)
{
    Dl_info found;
    if (dladdr((void *)(uintptr_t)Py_InitializeFromConfig, &found) == 0 || found.dli_fname == NULL)
        return refuse("libpython cannot be found in this process");
    *libpython = found.dli_fname;
    /* A host that has libpython in itself is global anyhow. */
    (void)dlopen(found.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
    return 1;
}

static PyStatus append(PyWideStringList *list, const char *path)
{
    wchar_t *wide = Py_DecodeLocale(path, NULL);
    if (wide == NULL) return PyStatus_NoMemory();
    PyStatus status = PyWideStringList_Append(list, wide);
    PyMem_RawFree(wide);
    return status;
}

static PyStatus configure(PyConfig *config, const struct places *places)
{
    char prefix[LONGEST], dynload[LONGEST];
    strcpy(prefix, places->stdlib); /* <prefix>/lib/python3.x */
    for (int i = 0; i < 2; i++)
        if (strrchr(prefix, '/') != NULL) *strrchr(prefix, '/') = '\0';
    snprintf(dynload, sizeof dynload, "%.*s/lib-dynload", LONGEST - 16, places->stdlib);

    config->site_import = 0;
    config->install_signal_handlers = 0;
    config->write_bytecode = 0;
    config->pathconfig_warnings = 0;
    config->module_search_paths_set = 1;
    PyStatus status = append(&config->module_search_paths, places->stdlib);
    if (!PyStatus_Exception(status)) status = append(&config->module_search_paths, dynload);
    for (int i = 0; i < places->number && !PyStatus_Exception(status); i++)
        status = append(&config->module_search_paths, places->sites[i]);
    wchar_t **prefixes[] = {&config->prefix, &config->base_prefix, &config->exec_prefix, &config->base_exec_prefix};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes && !PyStatus_Exception(status); i++)
        status = PyConfig_SetBytesString(config, prefixes[i], prefix);
    wchar_t **programs[] = {&config->program_name, &config->executable, &config->base_executable};
    for (size_t i = 0; i < sizeof programs / sizeof *programs && !PyStatus_Exception(status); i++)
        status = PyConfig_SetBytesString(config, programs[i], PTKC_EXECUTABLE);
    return status;
}

static int start_python(const struct places *places)
{
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before); /* changes no locale, reads no environment */
    before.utf8_mode = 1;
    PyStatus status = Py_PreInitialize(&before);
    if (!PyStatus_Exception(status)) {
        PyConfig config;
        PyConfig_InitIsolatedConfig(&config);
        status = configure(&config, places);
        if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
        PyConfig_Clear(&config);
    }
    if (PyStatus_Exception(status))
        return refuse("Python did not start: %s", status.err_msg != NULL ? status.err_msg : "no reason given");
    return 1;
}

/* Log the exception that is set. Always false. */
static int refuse_exception(const char *what)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    PyObject *text = value != NULL ? PyObject_Str(value) : NULL;
    const char *utf8 = text != NULL ? PyUnicode_AsUTF8(text) : NULL;
    refuse("%s: %s", what, utf8 != NULL ? utf8 : "an exception without text");
    PyErr_Clear();
    Py_XDECREF(text);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
    return 0;
}

/* --- The host's Python -------------------------------------------------------------------------------------------- */

static int set(PyObject *scope, const char *name, PyObject *value)
{
    int failed = value == NULL || PyDict_SetItemString(scope, name, value) < 0;
    Py_XDECREF(value);
    return !failed;
}

/* Run guest.py: the host has fitting packages, or finds ours. */
static int prepare_host(const struct places *places)
{
    PyObject *scope = PyDict_New(), *sites = PyList_New(0), *code = NULL, *done = NULL;
    int good = scope != NULL && sites != NULL;
    for (int i = 0; i < places->number && good; i++) {
        PyObject *path = PyUnicode_DecodeFSDefault(places->sites[i]);
        good = path != NULL && PyList_Append(sites, path) == 0;
        Py_XDECREF(path);
    }
    good = good && PyDict_SetItemString(scope, "__builtins__", PyEval_GetBuiltins()) == 0 &&
           set(scope, "__name__", PyUnicode_FromString("_ptkc_guest")) && PyDict_SetItemString(scope, "SITES", sites) == 0 &&
           set(scope, "VERSION", PyUnicode_FromString(PTKC_VERSION)) && set(scope, "NEEDED", PyUnicode_FromString(PTKC_NEEDED));
    if (good) code = Py_CompileString(PTKC_GUEST_CODE, "<ptkc guest.py>", Py_file_input);
    if (code != NULL) done = PyEval_EvalCode(code, scope, scope);
    if (done == NULL) refuse_exception("this Python host cannot be used");
    good = done != NULL;
    Py_XDECREF(done);
    Py_XDECREF(code);
    Py_XDECREF(sites);
    Py_XDECREF(scope);
    return good;
}

/* With the GIL: what must be so before cffi, which would print what fails, is let loose. */
static int prepare_modules(const struct places *places)
{
    if (PySys_GetObject("gettotalrefcount") != NULL)
        return refuse("this process runs a debug build of Python, which ptkc does not support: use the ordinary build");
    if (PyDict_GetItemString(PyImport_GetModuleDict(), "_libptkc") != NULL)
        return refuse("another libptkc.so is at work in this process already, %s cannot be", library_path);
    if (guest && !prepare_host(places)) return 0;
    PyObject *backend = PyImport_ImportModule("_cffi_backend");
    if (backend == NULL) return refuse_exception("the package cffi cannot be imported");
    Py_DECREF(backend);
    return 1;
}

/* --- Fork --------------------------------------------------------------------------------------------------------- */

static PyGILState_STATE fork_gil;
static int fork_entered, fork_taken; /* belong to who is inside `starting` */

/* A fork of Python's own, os.fork in the host or in us, does by itself what stands here. */
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

static void before_fork(void)
{
    if (inside(&starting) || holds_gil()) return;
    enter(&starting);
    fork_entered = 1;
    fork_taken = !guest && interpreter != NULL && Py_IsInitialized();
    if (fork_taken) ptkc_call(take_python, NULL);
}

static void after_fork_in_parent(void)
{
    if (!inside(&starting) || !fork_entered) return;
    if (fork_taken) ptkc_call(give_python_back, NULL);
    fork_entered = fork_taken = 0;
    leave(&starting);
}

static void after_fork_in_child(void)
{
    int taken = inside(&starting) && fork_taken;
    atomic_store(&initialized, 0);
    fork_entered = fork_taken = 0;
    forget(&starting);
    forget(&loading);
    forget(&lifecycle);
    if (taken) ptkc_call(renew_python, NULL);
}

/* --- Start -------------------------------------------------------------------------------------------------------- */

static int start(void)
{
    struct places places = {.number = 0};
    const char *libpython = NULL;
    PyGILState_STATE gil = PyGILState_UNLOCKED;
#ifdef PTKC_LIBCRYPTO
    /* A host may exit while its threads are in operations.c: libcrypto must not tidy up under them. */
    OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
#endif
    guest = Py_IsInitialized();
    int good = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0 && find_sites(&places);
    if (guest) {
        gil = PyGILState_Ensure();
    } else {
        good = good && promote(&libpython) && find_stdlib(&places, libpython) && start_python(&places);
        if (!good) goto end;
    }
    interpreter = PyInterpreterState_Main();
    good = good && prepare_modules(&places);
    if (guest)
        PyGILState_Release(gil);
    else
        (void)PyEval_SaveThread();
    if (good && ptkc_start_cffi() != 0) good = refuse("cffi did not start");
    good = good && atomic_load(&ready);
end:
    free_places(&places);
    return good;
}

CK_RV ptkc_start(void)
{
    if (!version_fits()) return CKR_GENERAL_ERROR;
    if (inside(&loading) || inside(&starting)) return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (Py_IsInitialized() && (guest || atomic_load(&state) == COLD) && !in_main_interpreter()) return CKR_GENERAL_ERROR;
    if (atomic_load(&state) == COLD) {
        enter(&starting);
        if (atomic_load(&state) == COLD) {
            enter(&loading);
            atomic_store(&state, start() ? READY : FAILED);
            leave(&loading);
        }
        leave(&starting);
    }
    if (atomic_load(&state) != READY) return CKR_GENERAL_ERROR;
    if (!Py_IsInitialized()) {
        refuse("Python has ended in this process");
        return CKR_GENERAL_ERROR;
    }
    return CKR_OK;
}
