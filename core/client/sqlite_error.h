/* What SQLite's result codes are called in neap. */
#ifndef CLIENT_SQLITE_ERROR_H
#define CLIENT_SQLITE_ERROR_H

/* "busy", "constraint", ...: static. */
const char *sqlite_error_code(int rc);
/* Which constraint: "unique", "foreign_key", ...; NULL when it is none of the known. */
const char *sqlite_error_constraint(int rc);

#endif
