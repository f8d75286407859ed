/* A C application with an asynchronous session: pending MODULE COMMAND. Ends with 1 at the first surprise. */
#include "host.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

static CK_UTF8CHAR pin[] = "1234", other_pin[] = "5678", so_pin[] = "12345678", label[33] = "pending                         ";
static CK_UTF8CHAR function_name[] = "C_GenerateKeyPair";
static pthread_t main_thread;
static volatile sig_atomic_t signals, elsewhere;

static CK_SESSION_HANDLE open_session(CK_USER_TYPE user, CK_UTF8CHAR *its_pin)
{
    CK_SESSION_HANDLE session = 0;
    CK_FLAGS flags = CKF_SERIAL_SESSION | CKF_RW_SESSION | CKF_ASYNC_SESSION;
    WANT(CKR_OK, FUNCTION(C_OpenSession)(0, flags, NULL, NULL, &session));
    WANT(CKR_OK, FUNCTION(C_Login)(session, user, its_pin, strlen((char *)its_pin)));
    return session;
}

static CK_SESSION_HANDLE make_token(void)
{
    WANT(CKR_OK, FUNCTION(C_Initialize)(NULL));
    WANT(CKR_OK, FUNCTION(C_InitToken)(0, so_pin, sizeof so_pin - 1, label));
    CK_SESSION_HANDLE session = open_session(CKU_SO, so_pin);
    WANT(CKR_OK, FUNCTION(C_InitPIN)(session, pin, sizeof pin - 1));
    WANT(CKR_OK, FUNCTION(C_CloseSession)(session));
    return open_session(CKU_USER, pin);
}

static void begin(CK_SESSION_HANDLE session)
{
    CK_MECHANISM mechanism = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};
    CK_ULONG bits = 4096;
    CK_BBOOL yes = 1;
    CK_ATTRIBUTE public[] = {{CKA_MODULUS_BITS, &bits, sizeof bits}}, private[] = {{CKA_SIGN, &yes, 1}};
    CK_OBJECT_HANDLE keys[2] = {7, 8};
    WANT(CKR_PENDING, FUNCTION(C_GenerateKeyPair)(session, &mechanism, public, 1, private, 1, keys, keys + 1));
    WANT(15, keys[0] + keys[1]);
}

static void complete(CK_SESSION_HANDLE session)
{
    CK_ASYNC_DATA result = {0, NULL, 0, 0, 0};
    struct timespec pause = {0, 5000000};
    CK_RV code;
    while ((code = FUNCTION(C_AsyncComplete)(session, function_name, &result)) == CKR_PENDING) nanosleep(&pause, NULL);
    WANT(CKR_OK, code);
    CK_KEY_TYPE type = 99;
    CK_ATTRIBUTE asked = {CKA_KEY_TYPE, &type, sizeof type};
    WANT(CKR_OK, FUNCTION(C_GetAttributeValue)(session, result.hAdditionalObject, &asked, 1));
    WANT(CKK_RSA, type);
}

static int threads(void)
{
    DIR *directory = opendir("/proc/self/task");
    int count = 0;
    while (readdir(directory) != NULL) count++;
    closedir(directory);
    return count - 2; /* . and .. */
}

static void count_signal(int number)
{
    (void)number;
    signals++;
    if (!pthread_equal(pthread_self(), main_thread)) elsewhere++;
}

/* C_Finalize waits for what cannot be interrupted; whoever knows its number joins it after C_Initialize. */
static void finalize(CK_SESSION_HANDLE session)
{
    CK_ULONG number = 0;
    begin(session);
    WANT(CKR_OK, FUNCTION(C_AsyncGetID)(session, function_name, &number));
    WANT(CKR_OK, FUNCTION(C_Finalize)(NULL));
    WANT(1, threads());
    WANT(CKR_OK, FUNCTION(C_Initialize)(NULL));
    session = open_session(CKU_USER, pin);
    WANT(CKR_OPERATION_NOT_INITIALIZED, FUNCTION(C_AsyncComplete)(session, function_name, &(CK_ASYNC_DATA){0}));
    WANT(CKR_SAVED_STATE_INVALID, FUNCTION(C_AsyncJoin)(session, function_name, number + 1, NULL, 0));
    WANT(CKR_OK, FUNCTION(C_AsyncJoin)(session, function_name, number, NULL, 0));
    complete(session);
    WANT(CKR_OK, FUNCTION(C_Finalize)(NULL));
}

/* The child knows nothing of it, not even by its number, and generates for itself; the parent's goes on. */
static void fork_meanwhile(CK_SESSION_HANDLE session)
{
    CK_ULONG number = 0;
    begin(session);
    WANT(CKR_OK, FUNCTION(C_AsyncGetID)(session, function_name, &number));
    pid_t child = fork();
    if (child == 0) {
        WANT(CKR_CRYPTOKI_NOT_INITIALIZED, FUNCTION(C_AsyncComplete)(session, function_name, &(CK_ASYNC_DATA){0}));
        WANT(CKR_OK, FUNCTION(C_Initialize)(NULL));
        session = open_session(CKU_USER, pin);
        WANT(CKR_SAVED_STATE_INVALID, FUNCTION(C_AsyncJoin)(session, function_name, number, NULL, 0));
        begin(session);
        complete(session);
        WANT(CKR_OK, FUNCTION(C_Finalize)(NULL));
        _exit(0);
    }
    int status = 1;
    WANT((unsigned long)child, (unsigned long)waitpid(child, &status, 0));
    WANT(0, status);
    complete(session);
    WANT(CKR_OK, FUNCTION(C_Finalize)(NULL));
}

/* The host's signals are handled on the host's threads. */
static void take_signals(CK_SESSION_HANDLE session)
{
    struct sigaction action = {.sa_handler = count_signal};
    sigset_t blocked, before, after;
    main_thread = pthread_self();
    sigaction(SIGUSR1, &action, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    begin(session);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    WANT(0, memcmp(&before, &after, 8));
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    kill(getpid(), SIGUSR1); /* only a thread that does not block it could take it now */
    complete(session);
    WANT(0, signals);
    pthread_sigmask(SIG_UNBLOCK, &blocked, NULL);
    WANT(1, signals);
    WANT(0, elsewhere);
    WANT(CKR_OK, FUNCTION(C_Finalize)(NULL));
}

static void want_not_joined(CK_SESSION_HANDLE session, CK_ULONG number)
{
    WANT(CKR_SAVED_STATE_INVALID, FUNCTION(C_AsyncJoin)(session, function_name, number, NULL, 0));
    WANT(CKR_OPERATION_NOT_INITIALIZED, FUNCTION(C_AsyncComplete)(session, function_name, &(CK_ASYNC_DATA){0}));
}

/* What a user began is no other one's: not with a PIN that the SO has set, not on the token that is initialised anew. */
static void change_users(CK_SESSION_HANDLE session)
{
    CK_ULONG number = 0;
    begin(session);
    WANT(CKR_OK, FUNCTION(C_AsyncGetID)(session, function_name, &number));
    WANT(CKR_OK, FUNCTION(C_CloseSession)(session));
    session = open_session(CKU_SO, so_pin);
    want_not_joined(session, number);
    WANT(CKR_OK, FUNCTION(C_InitPIN)(session, other_pin, sizeof other_pin - 1));
    WANT(CKR_OK, FUNCTION(C_CloseSession)(session));
    session = open_session(CKU_USER, other_pin);
    want_not_joined(session, number);
    begin(session);
    WANT(CKR_OK, FUNCTION(C_AsyncGetID)(session, function_name, &number));
    WANT(CKR_OK, FUNCTION(C_CloseSession)(session));
    WANT(CKR_OK, FUNCTION(C_InitToken)(0, so_pin, sizeof so_pin - 1, label));
    session = open_session(CKU_SO, so_pin);
    WANT(CKR_OK, FUNCTION(C_InitPIN)(session, other_pin, sizeof other_pin - 1));
    WANT(CKR_OK, FUNCTION(C_CloseSession)(session));
    session = open_session(CKU_USER, other_pin);
    want_not_joined(session, number);
    WANT(CKR_OK, FUNCTION(C_Finalize)(NULL));
}

int main(int count, char **words)
{
    if (count < 3) return 2;
    load(words[1]);
    CK_SESSION_HANDLE session = make_token();
    if (strcmp(words[2], "finalize") == 0) finalize(session);
    else if (strcmp(words[2], "fork") == 0) fork_meanwhile(session);
    else if (strcmp(words[2], "signals") == 0) take_signals(session);
    else if (strcmp(words[2], "users") == 0) change_users(session);
    else begin(session); /* and exit */
    return 0;
}
