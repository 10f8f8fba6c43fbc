/* Builds with -DTESTING=ON only: the n-th allocation of a kind fails, wherever in the process it is
 * made. Specs arm it over the control socket (core/top/control.c) or by core.task.fail_alloc. */
#ifndef BASE_SCARCE_H
#define BASE_SCARCE_H

#include <stdbool.h>

enum scarce_kind {
    SCARCE_LUA,  /* of all Lua states */
    SCARCE_TRY,  /* mem_try_... */
    SCARCE_MUST, /* mem_alloc and what is made of it: the process ends */
    SCARCE_KINDS
};

#ifdef NEAP_TESTING
/* The n-th of that kind from now fails; 0: none does. How many were to come before the one that was
 * armed last; 0: it has failed. Any thread. */
long scarce_arm(enum scarce_kind kind, long n);
bool scarce_is_armed(enum scarce_kind kind);
bool scarce_hits(enum scarce_kind kind); /* is asked once for each allocation: true when it fails */
#else
#define scarce_is_armed(kind) false
#define scarce_hits(kind) false
#endif

#endif
