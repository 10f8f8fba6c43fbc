/* The deadlines of one loop: a binary heap of times and pointers, which the loop owns; the
 * deadlines themselves are members of other objects. A deadline that was moved later stays where it
 * is and is put right when its old time comes, so the "60 s from now" of every request costs one
 * store. */
#include "net/deadline.h"

#include "base/mem.h"

#include <assert.h>

void deadline_init(struct deadline *deadline, deadline_fn on_due)
{
    *deadline = (struct deadline){.on_due = on_due};
}

void deadlines_init(struct deadlines *all)
{
    *all = (struct deadlines){0};
}

void deadlines_deinit(struct deadlines *all)
{
    assert(all->count == 0);
    mem_free(all->heap);
    deadlines_init(all);
}

static void put_at(struct deadlines *all, uint32_t index, struct deadline_entry entry)
{
    all->heap[index] = entry;
    entry.deadline->place = index + 1;
}

/* `entry` goes to `index` or nearer to the top. */
static void sift_up(struct deadlines *all, uint32_t index, struct deadline_entry entry)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / 2;
        if (all->heap[parent].at_ms <= entry.at_ms)
            break;
        put_at(all, index, all->heap[parent]);
        index = parent;
    }
    put_at(all, index, entry);
}

/* `entry` goes to `index` or further from the top. */
static void sift_down(struct deadlines *all, uint32_t index, struct deadline_entry entry)
{
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child >= all->count)
            break;
        if (child + 1 < all->count && all->heap[child + 1].at_ms < all->heap[child].at_ms)
            child++;
        if (entry.at_ms <= all->heap[child].at_ms)
            break;
        put_at(all, index, all->heap[child]);
        index = child;
    }
    put_at(all, index, entry);
}

static void heap_add(struct deadlines *all, struct deadline_entry entry)
{
    if (all->count == all->cap) {
        all->cap = all->cap ? all->cap * 2 : 64;
        all->heap = mem_realloc(all->heap, all->cap * sizeof(*all->heap));
    }
    all->count++;
    sift_up(all, all->count - 1, entry);
}

static void heap_remove(struct deadlines *all, struct deadline *deadline)
{
    uint32_t index = deadline->place - 1;
    assert(index < all->count && all->heap[index].deadline == deadline);

    uint64_t at_ms = all->heap[index].at_ms;
    struct deadline_entry last = all->heap[--all->count];
    deadline->place = 0;
    if (last.deadline == deadline)
        return;
    if (last.at_ms < at_ms)
        sift_up(all, index, last);
    else
        sift_down(all, index, last);
}

void deadlines_set(struct deadlines *all, struct deadline *deadline, uint64_t due_ms)
{
    if (due_ms <= all->running_ms)
        due_ms = all->running_ms + 1; /* also keeps 0 for "not set" */
    deadline->due_ms = due_ms;

    struct deadline_entry entry = {.at_ms = due_ms, .deadline = deadline};
    if (deadline->place == 0)
        heap_add(all, entry);
    else if (due_ms < all->heap[deadline->place - 1].at_ms)
        sift_up(all, deadline->place - 1, entry);
}

void deadlines_clear(struct deadlines *all, struct deadline *deadline)
{
    deadline->due_ms = 0;
    if (deadline->place != 0)
        heap_remove(all, deadline);
}

/* One at a time from the top, each out of the heap before it is called: the heap is whole whenever
 * somebody else's code runs, and what is set meanwhile is due later than `now_ms`. */
bool deadlines_run(struct deadlines *all, uint64_t now_ms, int most)
{
    assert(all->running_ms == 0);
    all->running_ms = now_ms;
    while (most > 0 && all->count > 0 && all->heap[0].at_ms <= now_ms) {
        struct deadline *first = all->heap[0].deadline;
        if (first->due_ms > now_ms) { /* was moved later */
            sift_down(all, 0, (struct deadline_entry){first->due_ms, first});
            continue;
        }
        heap_remove(all, first);
        first->due_ms = 0;
        most--;
        first->on_due(first); /* may set, clear or free any deadline */
    }
    all->running_ms = 0;
    return all->count > 0 && all->heap[0].at_ms <= now_ms;
}

uint64_t deadlines_next_ms(const struct deadlines *all)
{
    return all->count > 0 ? all->heap[0].at_ms : UINT64_MAX;
}
