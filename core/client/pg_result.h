/* Looking at a result of PostgreSQL, for those who may not include libpq; and what the files about
 * it share. */
#ifndef CLIENT_PG_RESULT_H
#define CLIENT_PG_RESULT_H

#include <stdbool.h>
#include <stddef.h>

struct pg_result;

enum pg_type { /* the server's numbers for types that Lua has, or that need care */
               PG_BOOL = 16,
               PG_BYTEA = 17,
               PG_INT8 = 20,
               PG_INT2 = 21,
               PG_INT4 = 23,
               PG_OID = 26,
               PG_JSON = 114,
               PG_FLOAT4 = 700,
               PG_FLOAT8 = 701,
               PG_JSONB = 3802
};

bool pg_result_is_error(const struct pg_result *result);
const char *pg_result_message(const struct pg_result *result);
const char *pg_result_field(const struct pg_result *result, char field); /* "" when it lacks it */
#define PG_FIELD_CODE 'C'
#define PG_FIELD_DETAIL 'D'
#define PG_FIELD_HINT 'H'
#define PG_FIELD_CONSTRAINT 'n'
int pg_result_rows(const struct pg_result *result);
int pg_result_columns(const struct pg_result *result);
const char *pg_result_name(const struct pg_result *result, int column);
unsigned pg_result_type(const struct pg_result *result, int column);
/* NULL for NULL. */
const char *pg_result_value(const struct pg_result *result, int row, int column, size_t *len);
const char *pg_result_tag(struct pg_result *result);      /* "INSERT 0 1" */
const char *pg_result_affected(struct pg_result *result); /* "1", "" when that makes no sense */
void pg_result_free(struct pg_result *result);
/* A bytea in text form as bytes; free with pg_result_free_bytes. NULL: out of memory. */
unsigned char *pg_result_read_bytes(const char *text, size_t *len);
void pg_result_free_bytes(unsigned char *bytes);

#endif
