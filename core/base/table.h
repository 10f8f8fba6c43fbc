/* An intrusive hash table that grows by one bucket at a time (linear hashing), so that no single
 * insertion pays for the growth of a large table. The members and the comparing are the owner's:
 *
 *     for (struct table_link *link = table_chain(&table, hash); link; link = link->next)
 *         if (link->hash == hash && ...) */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_link {
    struct table_link *next;
    uint64_t hash;
};

struct table {
    struct table_link **buckets;
    size_t used;  /* buckets */
    size_t cap;   /* allocated */
    size_t mask;  /* the power of two that is not below `used`, minus 1 */
    size_t count; /* of members */
};

void table_init(struct table *table);
void table_deinit(struct table *table); /* the members belong to others */
/* Never fails: without memory the chains get longer. */
void table_add(struct table *table, struct table_link *link, uint64_t hash);
void table_remove(struct table *table, struct table_link *link);

static inline size_t table_place(const struct table *table, uint64_t hash)
{
    size_t place = hash & table->mask;
    return place < table->used ? place : place & (table->mask >> 1);
}

/* The members that may have this hash, or NULL. */
static inline struct table_link *table_chain(const struct table *table, uint64_t hash)
{
    return table->used ? table->buckets[table_place(table, hash)] : NULL;
}

#endif
