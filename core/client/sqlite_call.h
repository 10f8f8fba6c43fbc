/* What the thread that has a database connection is asked to do, and what came of it: plain data,
 * handed over and back. It belongs to whoever has the connection. */
#ifndef CLIENT_SQLITE_CALL_H
#define CLIENT_SQLITE_CALL_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

#define SQLITE_CALL_INTERRUPTED "interrupted"

enum sqlite_act {
    SQLITE_ACT_EXEC,  /* to the end; rows are not wanted */
    SQLITE_ACT_QUERY, /* rows; as many as `limit` allows, in several batches */
    SQLITE_ACT_ROWS,  /* rows; each batch may be as large as `limit` */
    SQLITE_ACT_MORE,  /* the next batch */
    SQLITE_ACT_BEGIN, /* from here on without SQL: a transaction that may write at once */
    SQLITE_ACT_COMMIT,
    SQLITE_ACT_SAVE, /* a transaction within it begins, ... */
    SQLITE_ACT_KEEP, /* ... ends well, ... */
    SQLITE_ACT_UNDO, /* ... or not */
};

struct sqlite_call {
    enum sqlite_act act;
    struct bytes sql;    /* ends with a NUL, which does not count */
    struct bytes params; /* cells; if is_named, a text cell ":name" with its NUL before each */
    int param_count;
    bool is_named;
    uint64_t limit; /* bytes, about what the rows take in Lua */

    const char *code;       /* NULL: it went well. Static: "constraint", "busy", ... */
    const char *constraint; /* which, if known */
    struct bytes message;
    struct bytes names; /* of the columns, as text cells; set by the first batch */
    int columns;
    struct bytes rows; /* cells, row by row */
    int row_count;
    uint64_t size; /* of all rows so far */
    bool has_more; /* rows: SQLITE_ACT_MORE brings them */
    int64_t changes;
    int64_t last_id;
};

void sqlite_call_init(struct sqlite_call *call);
void sqlite_call_deinit(struct sqlite_call *call);
void sqlite_call_reset(struct sqlite_call *call, enum sqlite_act act); /* before it is filled in */
bool sqlite_call_is(const struct sqlite_call *call, const char *code);
void sqlite_call_fail(struct sqlite_call *call, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
