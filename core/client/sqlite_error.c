/* SQLite's result codes by name. */
#ifdef NEAP_HAS_SQLITE
#include "client/sqlite_error.h"

#include "client/sqlite_call.h"

#include <sqlite3.h>
#include <stddef.h>

const char *sqlite_error_code(int rc)
{
    switch (rc & 0xff) { /* the rest of the bits are details */
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return "busy";
    case SQLITE_CONSTRAINT: return "constraint";
    case SQLITE_MISMATCH: return "mismatch";
    case SQLITE_READONLY: return "readonly";
    case SQLITE_INTERRUPT: return SQLITE_CALL_INTERRUPTED;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return "corrupt";
    case SQLITE_FULL: return "full";
    case SQLITE_IOERR: return "io";
    case SQLITE_PERM:
    case SQLITE_CANTOPEN: return "cannot_open";
    case SQLITE_TOOBIG: return "too_large";
    case SQLITE_NOMEM: return "memory";
    case SQLITE_AUTH: return "misuse"; /* the only thing that sqlite_conn.c forbids */
    default: return "error";
    }
}

const char *sqlite_error_constraint(int rc)
{
    switch (rc) {
    case SQLITE_CONSTRAINT_UNIQUE: return "unique";
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID: return "primary_key";
    case SQLITE_CONSTRAINT_NOTNULL: return "not_null";
    case SQLITE_CONSTRAINT_FOREIGNKEY: return "foreign_key";
    case SQLITE_CONSTRAINT_CHECK: return "check";
    case SQLITE_CONSTRAINT_TRIGGER: return "trigger";
    default: return NULL;
    }
}
#endif
