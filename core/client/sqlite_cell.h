/* A value of SQLite, and values one after the other as bytes: how they travel between Lua's thread
 * and the thread that has the database. */
#ifndef CLIENT_SQLITE_CELL_H
#define CLIENT_SQLITE_CELL_H

#include "base/bytes.h"

#include <stddef.h>
#include <stdint.h>

enum cell_type { CELL_NULL, CELL_INTEGER, CELL_FLOAT, CELL_TEXT, CELL_BLOB };

struct cell {
    enum cell_type type;
    union {
        int64_t integer;
        double number;
        size_t len; /* of a text or blob */
    };
    const char *data; /* its bytes */
};

int sqlite_cell_write(struct bytes *out, const struct cell *cell); /* 0 or -ENOMEM */
/* `cell` points into the bytes. Returns where the next one begins. */
const char *sqlite_cell_read(const char *at, struct cell *cell);

#endif
