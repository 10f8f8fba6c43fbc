/* Plain Lua data as bytes and back: what stores keep and what travels between Lua states. Numbers,
 * texts, booleans and tables of those, with the mark of json.array; anything else is refused with
 * its path. */
#ifndef VALUE_VALUE_H
#define VALUE_VALUE_H

#include "base/bytes.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#define VALUE_MAX_DEPTH 100
#define VALUE_ERROR_SIZE 160

/* Appends the value at `index`. Never raises. 0, or -1 and a sentence like "a function at
 * .user.conn cannot be kept". */
int value_write(lua_State *L, int index, struct bytes *out, char error[VALUE_ERROR_SIZE]);
/* The same; the sentence calls it by `name`: "ws.data.user.conn: a function cannot be kept ...". */
int value_write_named(lua_State *L, int index, const char *name, struct bytes *out,
                      char error[VALUE_ERROR_SIZE]);
/* Pushes the value that value_write made. Raises only when memory runs out. */
void value_push(lua_State *L, const char *data, size_t len);
/* The same for the first of several written after each other: where the next begins. */
const char *value_push_next(lua_State *L, const char *data, const char *end);
void value_write_text(const char *text, struct bytes *out); /* a text, without a Lua state */

/* Whether two values on the stack are the same data: tables by content. */
bool value_equal(lua_State *L, int a, int b);

/* A number among them, for changing one without a Lua state. */
struct value_number {
    bool is_integer;
    lua_Integer integer;
    lua_Number number;
};
/* 0, or -EINVAL: it is none. */
int value_read_number(const char *data, size_t len, struct value_number *out);
void value_write_number(const struct value_number *value, struct bytes *out);
void value_number_add(struct value_number *value, const struct value_number *by);

#endif
