/* Lua's values for SQLite and back: parameters of a call, rows of its result. */
#ifndef BIND_SQLITE_VALUE_H
#define BIND_SQLITE_VALUE_H

#include "client/sqlite_call.h"

#include <lua.h>

#define BLOB_TYPE "neap.blob"

int sqlite_value_push_blob(lua_State *L); /* blob(s): stored as a BLOB, not as TEXT */

/* Puts the values from `first` to the top into the call: a single table names them. 0, or -1 and
 * the call has failed with "misuse". */
int sqlite_value_read_params(lua_State *L, int first, struct sqlite_call *call);
/* Appends rows to the list at `list`, takes them out of the call, and stops when a turn of the loop
 * has had its share. */
void sqlite_value_push_rows(lua_State *L, int list, struct sqlite_call *call);

#endif
