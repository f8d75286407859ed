/* A host whose own Python is another one, as far as the module can see: foreign MODULE VERSION. */
#include "host.h"

static const char *running;

const char *Py_GetVersion(void);
__attribute__((visibility("default"))) const char *Py_GetVersion(void) { return running; }

int main(int count, char **words)
{
    if (count < 3) return 2;
    running = words[2];
    load(words[1]);
    printf("%#lx\n", FUNCTION(C_Initialize)(NULL));
    return 0;
}
