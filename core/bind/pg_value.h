/* Values between Lua and PostgreSQL: parameters of statements, rows, errors. */
#ifndef BIND_PG_VALUE_H
#define BIND_PG_VALUE_H

#include <lua.h>
#include <stdbool.h>

#define PG_ERROR_TYPE "neap.pg.error" /* its methods are in lua/neap/pg.lua */

struct pg_result;
struct pg_statement;

/* From the arguments count, values, types (from index 3 on). What the statement points at stays on
 * the stack. False: a text has a zero byte, which only a bytea may have. May raise. */
bool pg_value_read_params(lua_State *L, struct pg_statement *statement);
/* Appends the rows to the list at `rows`: tables by column name. */
void pg_value_push_rows(lua_State *L, int rows, const struct pg_result *result);
void pg_value_push_error(lua_State *L, const struct pg_result *result);
void pg_value_push_end(lua_State *L, struct pg_result *result); /* {affected =, tag =} */

#endif
