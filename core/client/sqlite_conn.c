/* The life of a connection: opening, settings, interrupting, closing. What it does in between is in
 * sqlite_run.c. */
#ifdef NEAP_HAS_SQLITE
#include "client/sqlite_conn.h"

#include "base/mem.h"
#include "client/sqlite_conn_state.h"
#include "client/sqlite_error.h"

#include <limits.h>

#define STEPS_BETWEEN_LOOKS 1000 /* of SQLite's virtual machine: some ten microseconds */
#define SQL_MAX (1024 * 1024)

struct sqlite_conn *sqlite_conn_new(const struct sqlite_options *options)
{
    struct sqlite_conn *conn = mem_calloc(sizeof(*conn));
    conn->options = *options;
    conn->path = mem_strdup(options->path);
    conn->options.path = conn->path;
    sqlite_statements_init(&conn->cache, options->statements);
    return conn;
}

/* ---- opening ---- */

static int on_progress(void *arg)
{
    struct sqlite_conn *conn = arg;
    return atomic_load(&conn->is_stopped); /* true: SQLITE_INTERRUPT */
}

/* A BEGIN in somebody's SQL would leave a transaction open on a connection that many share. */
static int authorize(void *arg, int action, const char *a, const char *b, const char *c,
                     const char *d)
{
    struct sqlite_conn *conn = arg;
    (void)a, (void)b, (void)c, (void)d;
    bool is_transaction = action == SQLITE_TRANSACTION || action == SQLITE_SAVEPOINT;
    return is_transaction && !conn->is_trusted ? SQLITE_DENY : SQLITE_OK;
}

int sqlite_conn_control(struct sqlite_conn *conn, const char *sql)
{
    conn->is_trusted = true;
    int rc = sqlite3_exec(atomic_load(&conn->db), sql, NULL, NULL, NULL);
    conn->is_trusted = false;
    return rc;
}

/* A value that no result may hold is not even read. The limit also holds for SQL. */
static void limit_values(sqlite3 *db, uint64_t limit)
{
    if (limit < SQL_MAX)
        limit = SQL_MAX;
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, limit > INT_MAX ? INT_MAX : (int)limit);
}

/* The last statement reads the schema, so that a file which is no database shows now. */
static const char *settings_for(const struct sqlite_options *options)
{
    if (options->is_readonly || options->is_reader)
        return "PRAGMA query_only=ON; PRAGMA foreign_keys=ON; SELECT 1 FROM sqlite_master LIMIT 1";
    if (options->is_durable)
        return "PRAGMA foreign_keys=ON; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
               "SELECT 1 FROM sqlite_master LIMIT 1";
    return "PRAGMA foreign_keys=ON; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
           "SELECT 1 FROM sqlite_master LIMIT 1";
}

static int set_up(struct sqlite_conn *conn, sqlite3 *db)
{
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, 0);
    sqlite3_progress_handler(db, STEPS_BETWEEN_LOOKS, on_progress, conn);
    sqlite3_set_authorizer(db, authorize, conn);
    return sqlite3_exec(db, settings_for(&conn->options), NULL, NULL, NULL);
}

int sqlite_conn_open(struct sqlite_conn *conn, struct sqlite_call *call)
{
    sqlite3 *db = NULL;
    if (atomic_load(&conn->db) != NULL)
        return SQLITE_OK;

    int access = conn->options.is_readonly ? SQLITE_OPEN_READONLY
                                           : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    int rc = sqlite3_open_v2(conn->path, &db, access | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = set_up(conn, db);
    if (rc != SQLITE_OK) {
        sqlite_call_fail(call, sqlite_error_code(rc), "%s: %s", conn->path,
                         db ? sqlite3_errmsg(db) : "out of memory");
        sqlite3_close(db);
        return rc;
    }
    limit_values(db, conn->options.limit);
    atomic_store(&conn->db, db);
    return SQLITE_OK;
}

/* ---- ending ---- */

/* sqlite3_interrupt alone has no effect on a statement that is about to begin, and the flag alone
 * is not looked at in a checkpoint. The database is not closed while a call runs. */
void sqlite_conn_interrupt(struct sqlite_conn *conn)
{
    atomic_store(&conn->is_stopped, true);
    sqlite3 *db = atomic_load(&conn->db);
    if (db != NULL)
        sqlite3_interrupt(db);
}

void sqlite_conn_allow(struct sqlite_conn *conn)
{
    atomic_store(&conn->is_stopped, false);
}

bool sqlite_conn_is_tidy(const struct sqlite_conn *conn)
{
    sqlite3 *db = atomic_load(&conn->db);
    return db == NULL || (conn->open == NULL && !conn->in_transaction);
}

void sqlite_conn_abandon(struct sqlite_conn *conn)
{
    if (conn->open == NULL)
        return;
    sqlite3_reset(conn->open);
    sqlite3_clear_bindings(conn->open);
    conn->open = NULL;
}

void sqlite_conn_tidy(struct sqlite_conn *conn)
{
    sqlite_conn_abandon(conn);
    conn->in_transaction = false;
    if (!sqlite3_get_autocommit(atomic_load(&conn->db)))
        sqlite_conn_control(conn, "ROLLBACK");
}

void sqlite_conn_free(struct sqlite_conn *conn)
{
    sqlite_statements_deinit(&conn->cache);
    sqlite3_close(atomic_load(&conn->db));
    mem_free(conn->path);
    mem_free(conn);
}
#endif
