/* Where in a Lua value something is: ".users[3].name". A chain of places on the C stack, innermost
 * first. */
#ifndef VALUE_PLACE_H
#define VALUE_PLACE_H

#include "base/bytes.h"

#include <lua.h>

#define PLACE_KEY_MAX 24 /* bytes of each key that are shown */

struct place {
    const struct place *outer; /* NULL: the value itself */
    const char *key;           /* NULL: in a list, at `number` */
    size_t key_len;
    lua_Integer number;
};

/* Appends the way to the place from outside in; of a deep one the first steps, then "...". Nothing
 * for the value itself. */
void place_append(struct bytes *text, const struct place *place);

#endif
