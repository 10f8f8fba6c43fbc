/* Between the files of JSON: what json.c binds, json_write.c writes and json_read.c reads. */
#ifndef VALUE_JSON_WRITE_H
#define VALUE_JSON_WRITE_H

#include "base/bytes.h"
#include "value/json.h"

#include <lua.h>

struct json_error {
    char text[JSON_ERROR_SIZE];
};

/* Appends the value at `index` as JSON. 0, or -1 and a sentence in `error`. Never raises, calls no
 * metamethod and so never runs Lua code. */
int json_write(lua_State *L, int index, bool is_pretty, struct bytes *out,
               struct json_error *error);

#endif
