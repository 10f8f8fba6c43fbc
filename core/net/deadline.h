/* Deadlines: all of a worker's live in one heap behind one timer. A deadline is a member of the
 * object that it guards. Moving one later is free (the old time is merely looked at in vain). */
#ifndef NET_DEADLINE_H
#define NET_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

struct deadline;
struct deadlines;
typedef void (*deadline_fn)(struct deadline *deadline); /* container_of leads to the owner */

struct deadline {
    deadline_fn on_due;
    uint64_t due_ms; /* loop clock; 0 while not set */
    uint32_t place;  /* index in the heap + 1, 0 while outside */
};

void deadline_init(struct deadline *deadline, deadline_fn on_due);
static inline bool deadline_is_set(const struct deadline *deadline)
{
    return deadline->due_ms != 0;
}

struct deadline_entry {
    uint64_t at_ms; /* never later than the deadline's due_ms */
    struct deadline *deadline;
};

/* The heap, earliest first. */
struct deadlines {
    struct deadline_entry *heap;
    uint32_t count;
    uint32_t cap;
    uint64_t running_ms; /* the time given to deadlines_run, 0 outside of it */
};

void deadlines_init(struct deadlines *all);
void deadlines_deinit(struct deadlines *all);
/* A time that has come already is due at the next run, never in the one going on: no callback can
 * keep deadlines_run busy for ever. */
void deadlines_set(struct deadlines *all, struct deadline *deadline, uint64_t due_ms);
void deadlines_clear(struct deadlines *all, struct deadline *deadline);
/* Calls what is due at `now_ms`, at most so many; each may set, clear or free any other. Whether
 * more is due. */
bool deadlines_run(struct deadlines *all, uint64_t now_ms, int most);
/* When to run next; UINT64_MAX when none is set. */
uint64_t deadlines_next_ms(const struct deadlines *all);

#endif
