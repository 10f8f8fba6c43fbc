/* See die.h. */
#include "base/die.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

void die(const char *format, ...)
{
    va_list args;
    log_stop(); /* what was said before may tell more */
    fputs("neap: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    _exit(EX_OSERR);
}
