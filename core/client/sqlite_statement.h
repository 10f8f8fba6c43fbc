/* The prepared statements of one connection, the least recently used of which makes room for a new
 * one. Only on the thread that has the connection. */
#ifndef CLIENT_SQLITE_STATEMENT_H
#define CLIENT_SQLITE_STATEMENT_H

#include "base/list.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

struct statements {
    struct list used; /* most recently first */
    int count;
    int most;
};

void sqlite_statements_init(struct statements *cache, int most);
void sqlite_statements_deinit(struct statements *cache); /* before the connection is closed */
/* The statement for a text that ends with a NUL. SQLITE_OK and NULL: there are several in it
 * (`is_script`), or none. It stays the cache's, and usable until the next one is asked for. */
int sqlite_statements_get(struct statements *cache, sqlite3 *db, const char *sql, size_t len,
                          sqlite3_stmt **found, bool *is_script);

#endif
