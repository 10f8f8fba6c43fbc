/* core.uri_decode, core.uri_encode, core.parse_query. */
#ifndef SCRIPT_BIND_URI_H
#define SCRIPT_BIND_URI_H

#include <lua.h>
#include <stddef.h>

#define URI_MAX_FIELDS 1000 /* of a query or form, unless the caller says otherwise */

/* Adds the functions to the table on top. */
int bind_uri(lua_State *L);
/* Pushes name -> first value and name -> list of values; returns 2. Or nil, "too_many". May raise
 * (memory). */
int query_push(lua_State *L, const char *text, size_t len, unsigned max_fields);

#endif
