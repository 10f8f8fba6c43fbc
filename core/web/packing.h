/* A large body that is compressed while its task waits, in slices of about a millisecond, between
 * which others run (see net/turn.h). Not more than a few at a time, so that those who ask for much
 * do not make us hold it all: what comes then goes out as it is. */
#ifndef WEB_PACKING_H
#define WEB_PACKING_H

#include "base/bytes.h"
#include "http/request.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#define PACKING_SLICE ((size_t)48 * 1024) /* 0.2 to 1.2 ms; what is not longer takes one go */

struct gzip;
struct vm;

/* Owned by a userdata on the task's stack. */
struct packing {
    struct request *rq;
    const char *body;
    size_t len;
    size_t done;      /* of these */
    struct bytes out; /* empty in the end: it did not get shorter, or there is no memory */
    int (*then)(lua_State *L, struct packing *packing); /* sends it */
    int status;
    const char *type; /* static; NULL: in the response object at `object` */
    int object;
    char *text; /* the body, when no string on the stack has it */
    struct gzip *gzip;
    struct vm *vm; /* NULL: it is over */
};

/* Pushes one for a body that stays where it is as long. NULL, and nothing is pushed: too many are
 * under way, or there is no memory. */
struct packing *packing_push(lua_State *L, struct request *rq, const char *body, size_t len);
/* The caller has set `then` and what that needs, so call it last. Parks; what is cancelled ends
 * here. */
int packing_run(lua_State *L, struct packing *packing);
void packing_end(struct packing *packing); /* after `then` */

#endif
