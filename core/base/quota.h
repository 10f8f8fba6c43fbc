/* Memory that all connections of the process draw on, such as what waits for clients that do not
 * read. Each has a little for itself, so that the greed of some leaves the others a way to go on.
 * Owned by the server, used by all workers. A NULL quota has no limit. */
#ifndef BASE_QUOTA_H
#define BASE_QUOTA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that each holder has for itself; more count in steps of so many. */
#define QUOTA_FREE 4096

struct quota {
    const char *name; /* of its setting, for the log */
    _Atomic size_t most;
    _Atomic size_t used;
    _Atomic uint64_t refused;
    _Atomic uint64_t quiet_until_ms; /* no line in the log before */
};

void quota_init(struct quota *quota, const char *name, size_t most);
void quota_set_most(struct quota *quota, size_t most); /* what is held already stays */
/* A holder of `before` bytes will hold `after`. False: there is no room for so many, and it does
 * not. */
bool quota_change(struct quota *quota, size_t before, size_t after);
/* Whether it could. */
bool quota_has_room(const struct quota *quota, size_t before, size_t after);
/* Counts what had to end because there was no room; logs it, at most once a second. */
void quota_refuse(struct quota *quota);
/* For what is small and of many holders: counted to the byte, and added whether it fits or not. */
void quota_take(struct quota *quota, size_t bytes);
void quota_give(struct quota *quota, size_t bytes);
bool quota_is_over(const struct quota *quota, size_t spare); /* were `spare` bytes given back */
size_t quota_most(const struct quota *quota);
size_t quota_used(const struct quota *quota);

#endif
