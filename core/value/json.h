/* JSON on yyjson: Lua values to text and back. 64-bit integers stay exact. */
#ifndef VALUE_JSON_H
#define VALUE_JSON_H

#include <lua.h>
#include <stddef.h>

#define JSON_ERROR_SIZE 160
#define JSON_MAX_DEPTH 128 /* tables within tables, both ways; a cycle ends here too */

/* Encodes the value at `index`. Never raises. 0 and `data` (free it with json_free at once), or -1
 * and `error`, a sentence that names the place: "cannot encode a function at .a.b". */
struct json_text {
    char *data;
    size_t len;
    char error[JSON_ERROR_SIZE];
};
int json_encode(lua_State *L, int index, struct json_text *out);
void json_free(struct json_text *text);
/* Encodes the value at `index` and pushes the text, or the error text: returns whether it went
 * well. Raises only when memory runs out, and loses nothing then. */
int json_push_encoded(lua_State *L, int index);
/* Pushes the value, or nil and an error text with the place; returns 1 or 2. Raises only when
 * memory runs out. */
int json_push_decoded(lua_State *L, const char *text, size_t len);
void json_push_array_metatable(lua_State *L); /* what marks a table as an array */

void json_push_null(lua_State *L); /* the null of this state */

#endif
