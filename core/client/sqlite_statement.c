/* Prepared statements by their text: see sqlite_statement.h. There are few, so the list is
 * searched; what was used last is found first. */
#ifdef NEAP_HAS_SQLITE
#include "client/sqlite_statement.h"

#include "base/mem.h"

#include <string.h>

struct statement {
    struct list link;
    sqlite3_stmt *stmt;
    char *sql;
    size_t len;
};

void sqlite_statements_init(struct statements *cache, int most)
{
    list_init(&cache->used);
    cache->count = 0;
    cache->most = most;
}

static void sqlite_statement_forget(struct statements *cache, struct statement *statement)
{
    list_remove(&statement->link);
    cache->count--;
    sqlite3_finalize(statement->stmt);
    mem_free(statement->sql);
    mem_free(statement);
}

void sqlite_statements_deinit(struct statements *cache)
{
    while (cache->count > 0)
        sqlite_statement_forget(cache, container_of(cache->used.next, struct statement, link));
}

static void list_put_first(struct list *head, struct list *link)
{
    list_push(head->next, link); /* before what was the first */
}

static struct statement *sqlite_statement_find(struct statements *cache, const char *sql,
                                               size_t len)
{
    list_each (link, &cache->used) {
        struct statement *statement = container_of(link, struct statement, link);
        if (statement->len == len && memcmp(statement->sql, sql, len) == 0)
            return statement;
    }
    return NULL;
}

/* Whether another statement follows, and not only space and comments. */
static bool sqlite_statement_has_more(sqlite3 *db, const char *tail)
{
    if (tail[strspn(tail, " \t\r\n;")] == '\0')
        return false;
    sqlite3_stmt *next = NULL;
    int rc = sqlite3_prepare_v2(db, tail, -1, &next, NULL);
    sqlite3_finalize(next);
    return rc != SQLITE_OK || next != NULL; /* it may need what the first one makes */
}

static void sqlite_statement_add(struct statements *cache, const char *sql, size_t len,
                                 sqlite3_stmt *stmt)
{
    if (cache->count == cache->most)
        sqlite_statement_forget(cache, container_of(cache->used.prev, struct statement, link));
    struct statement *statement = mem_alloc(sizeof(*statement));
    *statement = (struct statement){.stmt = stmt, .sql = mem_strndup(sql, len), .len = len};
    list_put_first(&cache->used, &statement->link);
    cache->count++;
}

static int prepare(struct statements *cache, sqlite3 *db, const char *sql, size_t len,
                   sqlite3_stmt **made, bool *is_script)
{
    const char *tail;
    int rc = sqlite3_prepare_v3(db, sql, (int)len + 1, SQLITE_PREPARE_PERSISTENT, made, &tail);
    if (rc != SQLITE_OK || *made == NULL)
        return rc;
    *is_script = sqlite_statement_has_more(db, tail);
    if (*is_script) {
        sqlite3_finalize(*made);
        *made = NULL;
        return SQLITE_OK;
    }
    sqlite_statement_add(cache, sql, len, *made);
    return SQLITE_OK;
}

int sqlite_statements_get(struct statements *cache, sqlite3 *db, const char *sql, size_t len,
                          sqlite3_stmt **found, bool *is_script)
{
    struct statement *statement = sqlite_statement_find(cache, sql, len);
    *found = NULL;
    *is_script = false;
    if (statement == NULL)
        return prepare(cache, db, sql, len, found, is_script);
    list_remove(&statement->link);
    list_put_first(&cache->used, &statement->link);
    *found = statement->stmt;
    return SQLITE_OK;
}
#endif
