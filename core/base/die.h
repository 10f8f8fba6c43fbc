/* What nobody can go on after. Nothing of ours ends the process without a line that says why. */
#ifndef BASE_DIE_H
#define BASE_DIE_H

/* Writes what the log still has, then this, and exits with 71 (EX_OSERR), as base/mem.c does, which
 * cannot wait for the log. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
