/* The shelf: the set of all stores of the process, and what they may take. The server owns it. */
#ifndef LIVE_SHELF_H
#define LIVE_SHELF_H

#include <stddef.h>
#include <stdint.h>

struct shelf;
struct store;

struct shelf *shelf_new(uint64_t memory_limit);                   /* of all stores together */
void shelf_set_limit(struct shelf *shelf, uint64_t memory_limit); /* what is there stays */
void shelf_free(struct shelf *shelf);
uint64_t shelf_used(const struct shelf *shelf); /* bytes, with what managing them takes */
/* Found or made; lives with the shelf. When the shelf is full it is one that is empty and stays so:
 * whatever is put into it is answered by -ENOSPC. */
struct store *shelf_store(struct shelf *shelf, const char *name, size_t len);
/* Frees entries whose time is over, of a bounded part of each store. Called now and then; sets do
 * some of it by themselves. */
void shelf_sweep(struct shelf *shelf, uint64_t now_ms);

#endif
