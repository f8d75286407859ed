/* Living inside a foreign process: start Python or join the host's, and say who may call it.
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
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef PTKC_LIBCRYPTO
#include <openssl/crypto.h>
#endif

#include "baked.h"
#include "native.h"

enum state { COLD, READY, FAILED };

static _Atomic int state = COLD;
static _Atomic int ready, initialized;
static int guest;
static PyInterpreterState *interpreter;

/* --- What Python tells us ----------------------------------------------------------------------------------------- */

void ptkc_set_ready(void) { atomic_store(&ready, 1); }
void ptkc_set_initialized(int value) { atomic_store(&initialized, value != 0); }
char *ptkc_library_version(void) { return (char *)(uintptr_t)PTKC_VERSION; }

int ptkc_owns_python(void) { return !guest && interpreter != NULL && Py_IsInitialized(); }

/* --- Who may come in ---------------------------------------------------------------------------------------------- */

CK_RV ptkc_admit(void)
{
    if (!atomic_load_explicit(&initialized, memory_order_acquire)) return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (ptkc_inside(&ptkc_loading)) return CKR_CRYPTOKI_NOT_INITIALIZED;
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
    if (strncmp(ptkc_running, PTKC_PYTHON, length) != 0 || ptkc_running[length] != '.')
        return ptkc_refuse("this process runs Python %.*s and %s was built for Python " PTKC_PYTHON
                           ": install ptkc with the Python of this process, or load the library in one without Python",
                           (int)strcspn(ptkc_running, " "), ptkc_running, ptkc_library_path);
    if (strstr(ptkc_running, "free-threading") != NULL)
        return ptkc_refuse("this process runs a free-threaded Python, which does not do for ptkc: use an ordinary one");
    return 1;
}

/* False if the calling thread is in a sub-interpreter. */
static int in_main_interpreter(void)
{
    static const char reason[] = "ptkc was called from a sub-interpreter: load it in the main interpreter";
    PyInterpreterState *main = PyInterpreterState_Main();
    PyThreadState *mine = PyGILState_GetThisThreadState();
    if (mine != NULL && PyThreadState_GetInterpreter(mine) != main) return ptkc_refuse(reason);
#if PY_VERSION_HEX < 0x030C0000
    /* There, the thread state found above stays that of the main interpreter. */
    PyInterpreterState *other = PyInterpreterState_Head();
    if (other != NULL && PyInterpreterState_Next(other) != NULL) {
        PyThreadState *current = _PyThreadState_UncheckedGet();
        unsigned long here = PyThread_get_thread_ident();
        if (current != NULL && current->thread_id == here && PyThreadState_GetInterpreter(current) != main)
            return ptkc_refuse(reason);
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
        if (found) return ptkc_refuse(reason);
    }
#endif
    return 1;
}

/* --- Python of our own -------------------------------------------------------------------------------------------- */

/* The host opened us RTLD_LOCAL; extension modules look for Python's symbols in the global scope. */
static int promote(const char **libpython)
{
    Dl_info found;
    if (dladdr((void *)(uintptr_t)Py_InitializeFromConfig, &found) == 0 || found.dli_fname == NULL)
        return ptkc_refuse("libpython cannot be found in this process");
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
        return ptkc_refuse("Python did not start: %s", status.err_msg != NULL ? status.err_msg : "no reason given");
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
    ptkc_refuse("%s: %s", what, utf8 != NULL ? utf8 : "an exception without text");
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
           PyDict_SetItemString(scope, "SITES", sites) == 0 &&
           set(scope, "__name__", PyUnicode_FromString("_ptkc_guest")) &&
           set(scope, "VERSION", PyUnicode_FromString(PTKC_VERSION)) &&
           set(scope, "NEEDED", PyUnicode_FromString(PTKC_NEEDED));
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
        return ptkc_refuse("this process runs a debug build of Python, which does not do for ptkc: use an ordinary one");
    if (PyDict_GetItemString(PyImport_GetModuleDict(), "_libptkc") != NULL)
        return ptkc_refuse("another libptkc.so is at work in this process already, %s cannot be", ptkc_library_path);
    if (guest && !prepare_host(places)) return 0;
    PyObject *backend = PyImport_ImportModule("_cffi_backend");
    if (backend == NULL) return refuse_exception("the package cffi cannot be imported");
    Py_DECREF(backend);
    return 1;
}

/* --- Start -------------------------------------------------------------------------------------------------------- */

static int start(void)
{
    struct places places = {.number = 0};
    const char *libpython = NULL;
    PyGILState_STATE gil = PyGILState_UNLOCKED;
    int collecting = 0;
#ifdef PTKC_LIBCRYPTO
    /* A host may exit while its threads are in operations.c: libcrypto must not tidy up under them. */
    OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
#endif
    guest = Py_IsInitialized();
    int good = ptkc_watch_forks() && ptkc_find_sites(&places);
    if (guest) {
        gil = PyGILState_Ensure();
        /* A finaliser of the host's might wait for a lock that our caller holds (PyKCS11's does). */
        collecting = PyGC_Disable();
    } else {
        good = good && promote(&libpython) && ptkc_find_stdlib(&places, libpython) && start_python(&places);
        if (!good) goto end;
    }
    interpreter = PyInterpreterState_Main();
    good = good && prepare_modules(&places);
    if (guest)
        PyGILState_Release(gil);
    else
        (void)PyEval_SaveThread();
    if (good && ptkc_start_cffi() != 0) good = ptkc_refuse("cffi did not start");
    if (collecting) {
        gil = PyGILState_Ensure();
        PyGC_Enable();
        PyGILState_Release(gil);
    }
    good = good && atomic_load(&ready);
end:
    ptkc_free_places(&places);
    return good;
}

CK_RV ptkc_start(void)
{
    if (!version_fits()) return CKR_GENERAL_ERROR;
    if (ptkc_inside(&ptkc_loading) || ptkc_inside(&ptkc_starting)) return CKR_CRYPTOKI_NOT_INITIALIZED;
    if (Py_IsInitialized() && (guest || atomic_load(&state) == COLD) && !in_main_interpreter())
        return CKR_GENERAL_ERROR;
    if (atomic_load(&state) == COLD) {
        ptkc_enter(&ptkc_starting);
        if (atomic_load(&state) == COLD) {
            ptkc_enter(&ptkc_loading);
            atomic_store(&state, start() ? READY : FAILED);
            ptkc_leave(&ptkc_loading);
        }
        ptkc_leave(&ptkc_starting);
    }
    if (atomic_load(&state) != READY) return CKR_GENERAL_ERROR;
    if (!Py_IsInitialized()) {
        ptkc_refuse("Python has ended in this process");
        return CKR_GENERAL_ERROR;
    }
    return CKR_OK;
}
