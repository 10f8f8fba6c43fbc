/* The intrusive hash table: bucket `used` is made by splitting the one that its members are in. */
#include "base/table.h"

#include "base/mem.h"

#include <assert.h>

#define TABLE_FIRST 8 /* buckets */

void table_init(struct table *table)
{
    *table = (struct table){0};
}

void table_deinit(struct table *table)
{
    mem_free(table->buckets);
    table_init(table);
}

static void table_start(struct table *table)
{
    table->buckets = mem_calloc(TABLE_FIRST * sizeof(*table->buckets));
    table->used = table->cap = TABLE_FIRST;
    table->mask = TABLE_FIRST - 1;
}

static void split(struct table *table)
{
    size_t made = table->used++;
    if (made > table->mask)
        table->mask = table->mask * 2 + 1;
    struct table_link **from = &table->buckets[made & (table->mask >> 1)];
    struct table_link **to = &table->buckets[made];
    *to = NULL;
    while (*from) {
        struct table_link *link = *from;
        if ((link->hash & table->mask) != made) {
            from = &link->next;
            continue;
        }
        *from = link->next;
        link->next = *to;
        *to = link;
    }
}

static void table_grow(struct table *table)
{
    if (table->used == table->cap) {
        void *moved = mem_try_realloc(table->buckets, table->cap * 2 * sizeof(*table->buckets));
        if (moved == NULL)
            return;
        table->buckets = moved;
        table->cap *= 2;
    }
    split(table);
}

void table_add(struct table *table, struct table_link *link, uint64_t hash)
{
    if (table->used == 0)
        table_start(table);
    if (table->count++ >= table->used)
        table_grow(table);
    struct table_link **bucket = &table->buckets[table_place(table, hash)];
    link->hash = hash;
    link->next = *bucket;
    *bucket = link;
}

void table_remove(struct table *table, struct table_link *link)
{
    assert(table->count > 0);
    struct table_link **at = &table->buckets[table_place(table, link->hash)];
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    link->next = NULL;
    table->count--;
}
