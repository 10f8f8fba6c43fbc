/* The work of a connection: one statement with its parameters and rows, or a script. */
#ifdef NEAP_HAS_SQLITE
#include "client/sqlite_conn.h"

#include "client/sqlite_cell.h"
#include "client/sqlite_conn_state.h"
#include "client/sqlite_error.h"

#include <string.h>

/* A batch is what Lua takes in one go: some 50 us, and in one turn of its loop one may come of each
 * connection. */
#define BATCH_CELLS 512
#define BATCH_BYTES ((size_t)64 * 1024)
/* What Lua needs beside the bytes of a text. */
#define ROW_COST 64
#define CELL_COST 40

static int sqlite_run_fail(struct sqlite_conn *conn, struct sqlite_call *call, int rc)
{
    const char *message = (rc & 0xff) == SQLITE_AUTH
                              ? "transactions are begun and ended by db:transaction(fn)"
                              : sqlite3_errmsg(atomic_load(&conn->db));
    sqlite_call_fail(call, sqlite_error_code(rc), "%s", message);
    call->constraint = sqlite_error_constraint(rc);
    return rc;
}

static int misuse(struct sqlite_call *call, const char *problem)
{
    sqlite_call_fail(call, "misuse", "%s", problem);
    return SQLITE_MISUSE;
}

/* ---- parameters ---- */

static int bind_cell(sqlite3_stmt *stmt, int index, const struct cell *cell)
{
    switch (cell->type) {
    case CELL_NULL: return sqlite3_bind_null(stmt, index);
    case CELL_INTEGER: return sqlite3_bind_int64(stmt, index, cell->integer);
    case CELL_FLOAT: return sqlite3_bind_double(stmt, index, cell->number);
    case CELL_TEXT:
        return sqlite3_bind_text64(stmt, index, cell->data, cell->len, SQLITE_STATIC, SQLITE_UTF8);
    case CELL_BLOB: return sqlite3_bind_blob64(stmt, index, cell->data, cell->len, SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

static int bind_named(sqlite3_stmt *stmt, struct sqlite_call *call)
{
    const char *at = call->params.data;
    int rc = SQLITE_OK;
    for (int i = 0; i < call->param_count && rc == SQLITE_OK; i++) {
        struct cell name, value;
        at = sqlite_cell_read(sqlite_cell_read(at, &name), &value);
        int index = sqlite3_bind_parameter_index(stmt, name.data);
        if (index == 0) {
            sqlite_call_fail(call, "misuse", "the statement has no parameter %s", name.data);
            return SQLITE_MISUSE;
        }
        rc = bind_cell(stmt, index, &value);
    }
    return rc;
}

static int bind_positional(sqlite3_stmt *stmt, struct sqlite_call *call)
{
    const char *at = call->params.data;
    int wanted = sqlite3_bind_parameter_count(stmt);
    int rc = SQLITE_OK;
    if (wanted != call->param_count) {
        sqlite_call_fail(call, "misuse", "the statement has %d parameter%s, not %d", wanted,
                         wanted == 1 ? "" : "s", call->param_count);
        return SQLITE_MISUSE;
    }
    for (int i = 1; i <= wanted && rc == SQLITE_OK; i++) {
        struct cell value;
        at = sqlite_cell_read(at, &value);
        rc = bind_cell(stmt, i, &value);
    }
    return rc;
}

/* SQLITE_MISUSE: `call` says what is wrong already. */
static int bind_params(struct sqlite_conn *conn, sqlite3_stmt *stmt, struct sqlite_call *call)
{
    sqlite3_clear_bindings(stmt);
    int rc = call->is_named ? bind_named(stmt, call) : bind_positional(stmt, call);
    return rc == SQLITE_OK || rc == SQLITE_MISUSE ? rc : sqlite_run_fail(conn, call, rc);
}

/* ---- rows ---- */

static void read_cell(sqlite3_stmt *stmt, int column, struct cell *cell)
{
    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_INTEGER:
        *cell = (struct cell){CELL_INTEGER, .integer = sqlite3_column_int64(stmt, column)};
        break;
    case SQLITE_FLOAT:
        *cell = (struct cell){CELL_FLOAT, .number = sqlite3_column_double(stmt, column)};
        break;
    case SQLITE_TEXT:
        cell->type = CELL_TEXT;
        cell->data = (const char *)sqlite3_column_text(stmt, column);
        cell->len = (size_t)sqlite3_column_bytes(stmt, column);
        break;
    case SQLITE_BLOB:
        cell->type = CELL_BLOB;
        cell->data = sqlite3_column_blob(stmt, column);
        cell->len = (size_t)sqlite3_column_bytes(stmt, column);
        break;
    default: *cell = (struct cell){CELL_NULL, .integer = 0};
    }
}

/* Once there is a row: a statement that was prepared long ago is brought up to date by its first
 * step. */
static void write_names(sqlite3_stmt *stmt, struct sqlite_call *call)
{
    call->columns = sqlite3_column_count(stmt);
    for (int i = 0; i < call->columns; i++) {
        const char *name = sqlite3_column_name(stmt, i);
        struct cell cell = {CELL_TEXT, .len = name ? strlen(name) : 0, .data = name};
        sqlite_cell_write(&call->names, &cell);
    }
}

static int append_row(sqlite3_stmt *stmt, struct sqlite_call *call)
{
    size_t before = call->rows.len;
    if (call->columns == 0)
        write_names(stmt, call);
    for (int i = 0; i < call->columns; i++) {
        struct cell cell;
        read_cell(stmt, i, &cell);
        if (sqlite_cell_write(&call->rows, &cell) != 0)
            return SQLITE_NOMEM;
    }
    call->row_count++;
    call->size += ROW_COST + (uint64_t)call->columns * CELL_COST + (call->rows.len - before);
    return call->size > call->limit ? SQLITE_TOOBIG : SQLITE_ROW;
}

static bool is_batch_full(const struct sqlite_call *call)
{
    return (int64_t)call->row_count * call->columns >= BATCH_CELLS || call->rows.len >= BATCH_BYTES;
}

/* SQLITE_DONE, SQLITE_ROW when the batch is full, or an error. What writes is run to its end,
 * because a reset in the middle would commit it. */
static int step(sqlite3_stmt *stmt, struct sqlite_call *call)
{
    bool may_stop = sqlite3_stmt_readonly(stmt);
    int rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        if (call->act == SQLITE_ACT_EXEC)
            continue;
        rc = append_row(stmt, call);
        if (rc != SQLITE_ROW || (may_stop && is_batch_full(call)))
            break;
    }
    return rc;
}

/* ---- one statement ---- */

static void note_changes(sqlite3 *db, struct sqlite_call *call, int64_t total_before)
{
    call->last_id = sqlite3_last_insert_rowid(db);
    if (sqlite3_total_changes64(db) != total_before) /* else it is of an earlier statement */
        call->changes = sqlite3_changes64(db);
}

static void too_large(struct sqlite_call *call)
{
    call->row_count = 0;
    sqlite_call_fail(call, "too_large", "the rows take more than %llu bytes",
                     (unsigned long long)call->limit);
}

static void fetch(struct sqlite_conn *conn, sqlite3_stmt *stmt, struct sqlite_call *call)
{
    sqlite3 *db = atomic_load(&conn->db);
    int64_t total_before = sqlite3_total_changes64(db);
    if (call->act == SQLITE_ACT_ROWS)
        call->size = 0;
    int rc = step(stmt, call);
    if (rc == SQLITE_ROW) {
        conn->open = stmt;
        call->has_more = true;
        return;
    }
    if (rc == SQLITE_DONE)
        note_changes(db, call, total_before);
    else if (rc == SQLITE_TOOBIG && call->size > call->limit)
        too_large(call);
    else
        sqlite_run_fail(conn, call, rc);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt); /* they point into the call */
}

static void run_statement(struct sqlite_conn *conn, sqlite3_stmt *stmt, struct sqlite_call *call)
{
    if (conn->options.is_reader && !sqlite3_stmt_readonly(stmt)) {
        sqlite_call_fail(call, "writes", "this statement writes");
        return;
    }
    if (bind_params(conn, stmt, call) != SQLITE_OK)
        return;
    fetch(conn, stmt, call);
}

/* Several statements: all of them happen, or none. */
static void run_script(struct sqlite_conn *conn, struct sqlite_call *call)
{
    sqlite3 *db = atomic_load(&conn->db);
    bool is_alone = sqlite3_get_autocommit(db);
    int64_t total_before = sqlite3_total_changes64(db);
    int rc = sqlite_conn_control(conn, is_alone ? "BEGIN IMMEDIATE" : "SAVEPOINT script");
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, call->sql.data, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite_conn_control(conn, is_alone ? "COMMIT" : "RELEASE script");
    if (rc == SQLITE_OK) {
        call->changes = sqlite3_total_changes64(db) - total_before;
        call->last_id = sqlite3_last_insert_rowid(db);
        return;
    }
    sqlite_run_fail(conn, call, rc);
    sqlite_conn_allow(conn); /* for what undoes it */
    sqlite_conn_control(conn, is_alone ? "ROLLBACK" : "ROLLBACK TO script; RELEASE script");
}

static void run_sql(struct sqlite_conn *conn, struct sqlite_call *call)
{
    sqlite3_stmt *stmt;
    bool is_script;
    int rc = sqlite_statements_get(&conn->cache, atomic_load(&conn->db), call->sql.data,
                                   call->sql.len, &stmt, &is_script);
    if (rc != SQLITE_OK) {
        sqlite_run_fail(conn, call, rc);
        if ((rc & 0xff) == SQLITE_ERROR)
            call->code = "syntax";
    } else if (stmt != NULL) {
        run_statement(conn, stmt, call);
    } else if (is_script && (call->act != SQLITE_ACT_EXEC || call->param_count > 0)) {
        misuse(call, "several statements at once: only db:exec without parameters runs them");
    } else if (is_script) {
        run_script(conn, call);
    }
}

/* ---- transactions ---- */

static const char *const controls[] = {
    [SQLITE_ACT_BEGIN] = "BEGIN IMMEDIATE",
    [SQLITE_ACT_COMMIT] = "COMMIT",
    [SQLITE_ACT_SAVE] = "SAVEPOINT inner",
    [SQLITE_ACT_KEEP] = "RELEASE inner",
    [SQLITE_ACT_UNDO] = "ROLLBACK TO inner; RELEASE inner",
};

static void run_control(struct sqlite_conn *conn, struct sqlite_call *call)
{
    int rc = sqlite_conn_control(conn, controls[call->act]);
    if (rc != SQLITE_OK)
        sqlite_run_fail(conn, call, rc);
    else if (call->act == SQLITE_ACT_BEGIN || call->act == SQLITE_ACT_COMMIT)
        conn->in_transaction = call->act == SQLITE_ACT_BEGIN;
}

static void run_more(struct sqlite_conn *conn, struct sqlite_call *call)
{
    sqlite3_stmt *stmt = conn->open;
    conn->open = NULL;
    fetch(conn, stmt, call);
}

void sqlite_conn_run(struct sqlite_conn *conn, struct sqlite_call *call)
{
    if (sqlite_conn_open(conn, call) != SQLITE_OK)
        return;
    if (call->act != SQLITE_ACT_MORE)
        sqlite_conn_abandon(conn); /* whoever was to take its rows was cancelled */
    if (conn->in_transaction && sqlite3_get_autocommit(atomic_load(&conn->db)))
        sqlite_call_fail(call, "aborted", "an error has rolled the whole transaction back");
    else if (call->act == SQLITE_ACT_MORE)
        run_more(conn, call);
    else if (call->act >= SQLITE_ACT_BEGIN)
        run_control(conn, call);
    else
        run_sql(conn, call);
}
#endif
