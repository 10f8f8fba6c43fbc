/* See random.h. */
#include "base/random.h"

#include "base/die.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/types.h>

void random_fill(void *bytes, size_t len)
{
    char *at = bytes;
    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) /* never go on with predictable bytes */
            die("the system gives no random bytes: getrandom: %s", strerror(errno));
        at += got;
        len -= (size_t)got;
    }
}
