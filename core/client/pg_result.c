/* PGresult by other names. */
#include "client/pg_result.h"

#ifdef NEAP_HAS_PQ

#include <libpq-fe.h>

bool pg_result_is_error(const struct pg_result *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE;
}

const char *pg_result_field(const struct pg_result *result, char field)
{
    const char *text = PQresultErrorField(result, field);
    return text ? text : "";
}

const char *pg_result_message(const struct pg_result *result)
{
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    return text ? text : PQresultErrorMessage(result);
}

int pg_result_rows(const struct pg_result *result)
{
    return PQntuples(result);
}

int pg_result_columns(const struct pg_result *result)
{
    return PQnfields(result);
}

const char *pg_result_name(const struct pg_result *result, int column)
{
    return PQfname(result, column);
}

unsigned pg_result_type(const struct pg_result *result, int column)
{
    return PQftype(result, column);
}

const char *pg_result_value(const struct pg_result *result, int row, int column, size_t *len)
{
    if (PQgetisnull(result, row, column))
        return NULL;
    *len = (size_t)PQgetlength(result, row, column);
    return PQgetvalue(result, row, column);
}

const char *pg_result_tag(struct pg_result *result)
{
    return PQcmdStatus(result);
}

const char *pg_result_affected(struct pg_result *result)
{
    return PQcmdTuples(result);
}

void pg_result_free(struct pg_result *result)
{
    PQclear(result);
}

unsigned char *pg_result_read_bytes(const char *text, size_t *len)
{
    return PQunescapeBytea((const unsigned char *)text, len);
}

void pg_result_free_bytes(unsigned char *bytes)
{
    PQfreemem(bytes);
}

#endif
