/* A C application: host MODULE COMMAND [ARGUMENT]. Prints what a test looks at; ends with 1 at the first surprise. */
#include "host.h"

#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static const char *argument;
static CK_UTF8CHAR pin[] = "1234", so_pin[] = "12345678", label[33] = "host                            ";

static struct { __typeof__(&C_Initialize) initialize; __typeof__(&C_Finalize) finalize; __typeof__(&C_GetSlotList) slots;
                __typeof__(&C_OpenSession) open; __typeof__(&C_Login) login; __typeof__(&C_SignInit) sign_init;
                __typeof__(&C_Sign) sign; } p;

static void resolve(void)
{
    p.initialize = FUNCTION(C_Initialize);
    p.finalize = FUNCTION(C_Finalize);
    p.slots = FUNCTION(C_GetSlotList);
    p.open = FUNCTION(C_OpenSession);
    p.login = FUNCTION(C_Login);
    p.sign_init = FUNCTION(C_SignInit);
    p.sign = FUNCTION(C_Sign);
}

static CK_RV initialize(void)
{
    CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};
    return p.initialize(&arguments);
}

/* --- A token, a session, a key ------------------------------------------------------------------------------------ */

static CK_SESSION_HANDLE new_session(void)
{
    CK_SESSION_HANDLE session = 0;
    WANT(CKR_OK, p.open(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
    return session;
}

static void make_token(void)
{
    WANT(CKR_OK, FUNCTION(C_InitToken)(0, so_pin, sizeof so_pin - 1, label));
    CK_SESSION_HANDLE session = new_session();
    WANT(CKR_OK, p.login(session, CKU_SO, so_pin, sizeof so_pin - 1));
    WANT(CKR_OK, FUNCTION(C_InitPIN)(session, pin, sizeof pin - 1));
    WANT(CKR_OK, FUNCTION(C_CloseAllSessions)(0));
}

static CK_SESSION_HANDLE user_session(void)
{
    CK_SESSION_HANDLE session = new_session();
    WANT(CKR_OK, p.login(session, CKU_USER, pin, sizeof pin - 1));
    return session;
}

static CK_OBJECT_HANDLE make_key(CK_SESSION_HANDLE session)
{
    CK_BYTE p256[] = {6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
    CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_ATTRIBUTE public[] = {{CKA_EC_PARAMS, p256, sizeof p256}};
    CK_BBOOL yes = 1;
    CK_ATTRIBUTE private[] = {{CKA_SIGN, &yes, 1}};
    CK_OBJECT_HANDLE public_key = 0, private_key = 0;
    WANT(CKR_OK, FUNCTION(C_GenerateKeyPair)(session, &mechanism, public, 1, private, 1, &public_key, &private_key));
    return private_key;
}

static int raw_rsa; /* instead of ECDSA: not the same library does it */

static CK_OBJECT_HANDLE make_rsa_key(CK_SESSION_HANDLE session)
{
    CK_MECHANISM mechanism = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};
    CK_ULONG bits = 1024;
    CK_BBOOL yes = 1;
    CK_ATTRIBUTE public[] = {{CKA_MODULUS_BITS, &bits, sizeof bits}}, private[] = {{CKA_SIGN, &yes, 1}};
    CK_OBJECT_HANDLE public_key = 0, private_key = 0;
    WANT(CKR_OK, FUNCTION(C_GenerateKeyPair)(session, &mechanism, public, 1, private, 1, &public_key, &private_key));
    return private_key;
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
    CK_MECHANISM mechanism = {raw_rsa ? CKM_RSA_X_509 : CKM_ECDSA, NULL, 0};
    CK_BYTE digest[32] = {1}, signature[128];
    CK_ULONG length = sizeof signature;
    CK_RV rv = p.sign_init(session, &mechanism, key);
    return rv != CKR_OK ? rv : p.sign(session, digest, sizeof digest, signature, &length);
}

/* --- Threads that sign until told to stop -------------------------------------------------------------------------- */

enum { SIGNERS = 4 };
static CK_OBJECT_HANDLE key;
static atomic_int stop;
static atomic_int started;
static pthread_t signers[SIGNERS];

static void *sign_on(void *unused)
{
    (void)unused;
    CK_SESSION_HANDLE session = new_session();
    WANT(CKR_OK, sign(session, key));
    atomic_fetch_add(&started, 1);
    while (!atomic_load(&stop)) {
        CK_RV rv = sign(session, key);
        if (!atomic_load(&stop)) WANT(CKR_OK, rv);
    }
    return NULL;
}

static void start_signers(void)
{
    WANT(CKR_OK, initialize());
    make_token();
    key = raw_rsa ? make_rsa_key(user_session()) : make_key(user_session());
    for (int i = 0; i < SIGNERS; i++) WANT(0, (unsigned long)pthread_create(&signers[i], NULL, sign_on, NULL));
    while (atomic_load(&started) < SIGNERS) sched_yield();
}

/* --- Commands ------------------------------------------------------------------------------------------------------ */

static void sign_once(void)
{
    WANT(CKR_OK, initialize());
    make_token();
    CK_SESSION_HANDLE session = user_session();
    WANT(CKR_OK, sign(session, make_key(session)));
    WANT(CKR_OK, p.finalize(NULL));
}

/* Prints the CK_RV of C_Initialize. */
static void start(void) { printf("%#lx\n", initialize()); }

/* Prints the label of the first token. */
static void token_label(void)
{
    CK_TOKEN_INFO info;
    WANT(CKR_OK, initialize());
    WANT(CKR_OK, FUNCTION(C_GetTokenInfo)(0, &info));
    printf("%.32s\n", info.label);
}

static void sign_among_forks(void)
{
    int forks = atoi(argument);
    start_signers();
    for (int i = 0; i < forks; i++) {
        pid_t child = fork();
        if (child == 0) {
            CK_ULONG count = 0;
            alarm(60);
            WANT(CKR_CRYPTOKI_NOT_INITIALIZED, p.slots(1, NULL, &count));
            WANT(CKR_OK, initialize());
            WANT(CKR_OK, p.slots(1, NULL, &count));
            CK_SESSION_HANDLE session = new_session();
            CK_MECHANISM mechanism = {CKM_SHA256, NULL, 0};
            CK_BYTE digest[32];
            CK_ULONG length = sizeof digest;
            WANT(CKR_OK, FUNCTION(C_DigestInit)(session, &mechanism));
            WANT(CKR_OK, FUNCTION(C_Digest)(session, so_pin, sizeof so_pin, digest, &length));
            if (i % 20 == 0) {
                WANT(CKR_OK, p.login(session, CKU_USER, pin, sizeof pin - 1));
                WANT(CKR_OK, sign(session, make_key(session)));
            }
            WANT(CKR_OK, p.finalize(NULL));
            _exit(0);
        }
        int status = 0;
        WANT((unsigned long)child, (unsigned long)waitpid(child, &status, 0));
        WANT(0, (unsigned long)status);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < SIGNERS; i++) pthread_join(signers[i], NULL);
    WANT(CKR_OK, p.finalize(NULL));
}

static void exit_while_signing(void)
{
    start_signers();
    struct timespec pause = {0, 1000L * atoi(argument)};
    nanosleep(&pause, NULL);
    exit(0);
}

static void exit_while_doing_raw_rsa(void)
{
    raw_rsa = 1;
    exit_while_signing();
}

static void *on_a_small_stack(void *unused)
{
    (void)unused;
    sign_once();
    return NULL;
}

static void small_stack(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    WANT(0, (unsigned long)pthread_attr_setstacksize(&attributes, 65536));
    WANT(0, (unsigned long)pthread_create(&thread, &attributes, on_a_small_stack, NULL));
    pthread_join(thread, NULL);
}

static atomic_int firsts, others;

static void *initialize_once(void *barrier)
{
    pthread_barrier_wait(barrier);
    CK_RV rv = initialize();
    if (rv == CKR_OK) atomic_fetch_add(&firsts, 1);
    else if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED) atomic_fetch_add(&others, 1);
    else fprintf(stderr, "C_Initialize: %#lx\n", rv);
    return NULL;
}

/* Prints how many of eight threads that call C_Initialize at once got CKR_OK, and how many were told who was first. */
static void initialize_in_threads(void)
{
    pthread_barrier_t barrier;
    pthread_t threads[8];
    pthread_barrier_init(&barrier, NULL, 8);
    for (int i = 0; i < 8; i++) pthread_create(&threads[i], NULL, initialize_once, &barrier);
    for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
    printf("%d %d\n", firsts, others);
}

static int some_mutex(void) { return 0; }

static void arguments(void)
{
    CK_ULONG count = 0;
    function some = (function)some_mutex;
    for (int given = 1; given < 15; given++) {
        CK_C_INITIALIZE_ARGS bad = {
            given & 1 ? (CK_CREATEMUTEX)some : NULL, given & 2 ? (CK_DESTROYMUTEX)some : NULL,
            given & 4 ? (CK_LOCKMUTEX)some : NULL, given & 8 ? (CK_UNLOCKMUTEX)some : NULL, CKF_OS_LOCKING_OK, NULL};
        WANT(CKR_ARGUMENTS_BAD, p.initialize(&bad));
    }
    CK_C_INITIALIZE_ARGS reserved = {NULL, NULL, NULL, NULL, 0, &count};
    WANT(CKR_ARGUMENTS_BAD, p.initialize(&reserved));
    WANT(CKR_CRYPTOKI_NOT_INITIALIZED, p.slots(0, NULL, &count));
    CK_C_INITIALIZE_ARGS mutexes = {(CK_CREATEMUTEX)some, (CK_DESTROYMUTEX)some, (CK_LOCKMUTEX)some, (CK_UNLOCKMUTEX)some, 0, NULL};
    WANT(CKR_OK, p.initialize(&mutexes));
    WANT(CKR_CRYPTOKI_ALREADY_INITIALIZED, p.initialize(NULL));
    WANT(CKR_ARGUMENTS_BAD, p.finalize(&count));
    WANT(CKR_OK, p.slots(0, NULL, &count));
    WANT(CKR_OK, p.finalize(NULL));
    WANT(CKR_CRYPTOKI_NOT_INITIALIZED, p.finalize(NULL));
    WANT(CKR_OK, p.initialize(NULL));
    WANT(CKR_OK, p.slots(0, NULL, &count));
    WANT(CKR_OK, p.finalize(NULL));
}

static int entries(const char *path)
{
    int number = 0;
    DIR *directory = opendir(path);
    while (readdir(directory) != NULL) number++;
    closedir(directory);
    return number;
}

/* Signals, locale, umask, working directory and environment stay; after C_Finalize no thread and no descriptor is left. */
static void leave_no_trace(void)
{
    struct sigaction before[65], after;
    char here[4096], there[4096], locale[256];
    extern char **environ;
    memset(before, 0, sizeof before);
    for (int i = 1; i < 65; i++) sigaction(i, NULL, &before[i]);
    strcpy(locale, setlocale(LC_ALL, NULL));
    WANT(1, getcwd(here, sizeof here) != NULL);
    umask(0137);
    int variables = 0, files = entries("/proc/self/fd");
    while (environ[variables] != NULL) variables++;
    sign_once();
    for (int i = 1; i < 65; i++)
        if (sigaction(i, NULL, &after) == 0) WANT((unsigned long)before[i].sa_handler, (unsigned long)after.sa_handler);
    WANT(0, (unsigned long)strcmp(locale, setlocale(LC_ALL, NULL)));
    WANT(1, getcwd(there, sizeof there) != NULL);
    WANT(0, (unsigned long)strcmp(here, there));
    WANT(0137, umask(0));
    WANT(3, (unsigned long)entries("/proc/self/task")); /* ., .. and us */
    while (environ[variables - 1] == NULL) variables--;
    WANT(1, environ[variables] == NULL);
    printf("%d\n", entries("/proc/self/fd") - files);
}

/* Relative path, and another working directory at C_Initialize. */
static void change_directory(void)
{
    WANT(0, (unsigned long)chdir("/"));
    sign_once();
}

/* A daemon closes all descriptors after C_Initialize. */
static CK_SESSION_HANDLE close_all(void)
{
    WANT(CKR_OK, initialize());
    make_token();
    CK_SESSION_HANDLE session = user_session();
    for (int file = 3; file < 1024; file++) close(file);
    return session;
}

static void close_descriptors(void)
{
    CK_SESSION_HANDLE session = close_all();
    WANT(CKR_OK, sign(session, make_key(session)));
}

/* And then has files of its own under the same numbers: nothing may be written to them. */
static void close_and_open(void)
{
    char path[] = "/tmp/ptkc-host-XXXXXX";
    struct stat found;
    CK_OBJECT_HANDLE object;
    CK_OBJECT_CLASS data = CKO_DATA;
    CK_BBOOL yes = 1;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &data, sizeof data}, {CKA_TOKEN, &yes, 1}};
    CK_SESSION_HANDLE session = close_all();
    int file = mkstemp(path);
    unlink(path);
    for (int i = 0; i < 8; i++) WANT(1, dup(file) >= 0);
    WANT(CKR_DEVICE_REMOVED, FUNCTION(C_CreateObject)(session, template, 2, &object));
    WANT(0, (unsigned long)fstat(file, &found));
    WANT(0, (unsigned long)found.st_size);
}

static void unload(void)
{
    sign_once();
    dlclose(library);
    CK_ULONG count = 0;
    WANT(CKR_CRYPTOKI_NOT_INITIALIZED, p.slots(0, NULL, &count));
    load(argument);
    WANT(CKR_OK, initialize());
    WANT(CKR_OK, p.slots(0, NULL, &count));
}

/* Somebody ends Python under us. */
static void end_python(void)
{
    CK_ULONG count = 0;
    WANT(CKR_OK, initialize());
    int (*ensure)(void) = (int (*)(void))(uintptr_t)dlsym(RTLD_DEFAULT, "PyGILState_Ensure");
    int (*finalize)(void) = (int (*)(void))(uintptr_t)dlsym(RTLD_DEFAULT, "Py_FinalizeEx");
    ensure();
    finalize();
    WANT(CKR_GENERAL_ERROR, p.slots(0, NULL, &count));
    WANT(CKR_GENERAL_ERROR, p.finalize(NULL));
    WANT(CKR_GENERAL_ERROR, p.initialize(NULL));
}

/* Prints the names of Python's modules after C_OpenSession. */
static void modules(void)
{
    WANT(CKR_OK, initialize());
    make_token();
    WANT(CKR_OK, p.finalize(NULL));
    pid_t child = fork();
    if (child != 0) {
        waitpid(child, NULL, 0);
        return;
    }
    execl("/proc/self/exe", "host", argument, "modules-again", NULL);
}

static void modules_again(void)
{
    WANT(CKR_OK, initialize());
    new_session();
    int (*ensure)(void) = (int (*)(void))(uintptr_t)dlsym(RTLD_DEFAULT, "PyGILState_Ensure");
    int (*run)(const char *) = (int (*)(const char *))(uintptr_t)dlsym(RTLD_DEFAULT, "PyRun_SimpleString");
    ensure();
    run("import sys; print(' '.join(sys.modules), flush=True)");
    _exit(0);
}

/* Prints the processor time of load, C_Initialize and C_OpenSession on an existing token, in milliseconds. */
static void startup(void)
{
    struct timespec now;
    WANT(CKR_OK, initialize());
    new_session();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    printf("%.1f\n", (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6);
}

static void token(void)
{
    WANT(CKR_OK, initialize());
    make_token();
    WANT(CKR_OK, p.finalize(NULL));
}

static const struct { const char *name; void (*run)(void); } commands[] = {
    {"start", start}, {"sign", sign_once}, {"token", token}, {"token-label", token_label}, {"fork", sign_among_forks},
    {"exit", exit_while_signing}, {"exit-raw", exit_while_doing_raw_rsa}, {"small-stack", small_stack}, {"threads", initialize_in_threads},
    {"arguments", arguments}, {"no-trace", leave_no_trace}, {"chdir", change_directory}, {"closed", close_descriptors},
    {"closed-opened", close_and_open},
    {"unload", unload}, {"end-python", end_python}, {"modules", modules}, {"modules-again", modules_again},
    {"startup", startup},
};

int main(int count, char **words)
{
    if (count < 3) return 2;
    argument = count > 3 ? words[3] : words[1];
    load(words[1]);
    resolve();
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, words[2]) == 0) {
            commands[i].run();
            return 0;
        }
    }
    return 2;
}
