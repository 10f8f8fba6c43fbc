/* A call's storage: see sqlite_call.h. */
#include "client/sqlite_call.h"

#include <string.h>

#define KEEP ((size_t)256 * 1024) /* a larger buffer is given back after its use */

void sqlite_call_init(struct sqlite_call *call)
{
    *call = (struct sqlite_call){.act = SQLITE_ACT_EXEC};
    bytes_init(&call->sql);
    bytes_init(&call->params);
    bytes_init(&call->message);
    bytes_init(&call->names);
    bytes_init(&call->rows);
}

void sqlite_call_deinit(struct sqlite_call *call)
{
    bytes_deinit(&call->sql);
    bytes_deinit(&call->params);
    bytes_deinit(&call->message);
    bytes_deinit(&call->names);
    bytes_deinit(&call->rows);
}

static void clear(struct bytes *bytes)
{
    bytes_clear(bytes);
    if (bytes->cap > KEEP)
        bytes_deinit(bytes);
}

void sqlite_call_reset(struct sqlite_call *call, enum sqlite_act act)
{
    call->act = act;
    call->code = NULL;
    call->constraint = NULL;
    call->row_count = 0;
    call->has_more = false;
    bytes_clear(&call->message);
    clear(&call->rows);
    if (act == SQLITE_ACT_MORE)
        return;
    clear(&call->sql);
    clear(&call->params);
    call->param_count = 0;
    call->is_named = false;
    bytes_clear(&call->names);
    call->columns = 0;
    call->size = 0;
    call->changes = 0;
    call->last_id = 0;
}

bool sqlite_call_is(const struct sqlite_call *call, const char *code)
{
    return call->code != NULL && strcmp(call->code, code) == 0;
}

void sqlite_call_fail(struct sqlite_call *call, const char *code, const char *format, ...)
{
    va_list args;
    call->code = code;
    call->has_more = false;
    bytes_clear(&call->message);
    va_start(args, format);
    bytes_vprintf(&call->message, format, args);
    va_end(args);
}
