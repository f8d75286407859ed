/* Where things are: the shared object, its site-packages, Python's standard library; and the log that says what is not.
 *
 * Paths known from the build are checked when they are used: the installation may have moved since.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <Python.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "baked.h"
#include "native.h"

char ptkc_library_path[LONGEST], ptkc_running[128];

int ptkc_secure(void) { return getauxval(AT_SECURE) != 0; }

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

int ptkc_refuse(const char *format, ...)
{
    char line[LONGEST];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    ptkc_log(line);
    return 0;
}

/* At load: the path may be relative to a working directory that the host leaves, and Py_GetVersion is not made for
 * threads: it writes to a buffer of its own at each call. */
__attribute__((constructor)) static void remember_place(void)
{
    snprintf(ptkc_running, sizeof ptkc_running, "%s", Py_GetVersion());
    Dl_info found;
    if (dladdr((void *)(uintptr_t)remember_place, &found) == 0 || realpath(found.dli_fname, ptkc_library_path) == NULL)
        ptkc_library_path[0] = '\0';
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
    if (length == 0 || places->number == MOST_SITES) return;
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
int ptkc_find_stdlib(struct places *places, const char *libpython)
{
    static const char *const layouts[] = {"python" PTKC_PYTHON, "../lib/python" PTKC_PYTHON, "../python" PTKC_PYTHON};
    char real[LONGEST], directory[LONGEST];
    if (realpath(libpython, real) != NULL && strrchr(real, '/') != NULL) {
        *strrchr(real, '/') = '\0';
        for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
            int length = snprintf(directory, sizeof directory, "%s/%s", real, layouts[i]);
            if (length >= (int)sizeof directory || !exists("%s/os.py", directory)) continue;
            if (realpath(directory, places->stdlib) != NULL) return 1;
        }
    }
    strcpy(places->stdlib, PTKC_STDLIB);
    if (exists("%s/os.py", places->stdlib)) return 1;
    return ptkc_refuse("no Python standard library beside %s nor in %s", libpython, PTKC_STDLIB);
}

int ptkc_find_sites(struct places *places)
{
    char root[LONGEST];
    strcpy(root, ptkc_library_path);
    char *name = strrchr(root, '/'), *package = NULL;
    if (name != NULL) {
        *name = '\0';
        package = strrchr(root, '/');
    }
    if (package == NULL || strcmp(package, "/ptkc") != 0 || !exists("%s/provider.py", root))
        return ptkc_refuse("%s is not in the package `ptkc` that it was built for: load it from where it was installed "
                           "(`ptkc module` prints the path), or make a symbolic link to there instead of a copy",
                           ptkc_library_path[0] != '\0' ? ptkc_library_path : "libptkc.so");
    *package = '\0';
    add_site(places, root, strlen(root));
    add_sites(places, PTKC_TREE_SITES);
    if (!is_closed(root)) add_sites(places, PTKC_SHARED_SITES);
    return 1;
}

void ptkc_free_places(struct places *places)
{
    while (places->number > 0) free(places->sites[--places->number]);
}
