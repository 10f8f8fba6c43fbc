/* The deadlines of one loop: a binary heap of pointers, which the loop owns; the deadlines
 * themselves are members of other objects. A deadline that was moved later stays where it is and is
 * put right when its old time comes, so the "60 s from now" of every request costs one store. */
#include "net/deadline.h"

#include "base/alloc.h"

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

static void put_at(struct deadlines *all, uint32_t index, struct deadline *deadline)
{
    all->heap[index] = deadline;
    deadline->place = index + 1;
}

/* `deadline` goes to `index` or nearer to the top. */
static void sift_up(struct deadlines *all, uint32_t index, struct deadline *deadline)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / 2;
        if (all->heap[parent]->heap_ms <= deadline->heap_ms)
            break;
        put_at(all, index, all->heap[parent]);
        index = parent;
    }
    put_at(all, index, deadline);
}

/* `deadline` goes to `index` or further from the top. */
static void sift_down(struct deadlines *all, uint32_t index, struct deadline *deadline)
{
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child >= all->count)
            break;
        if (child + 1 < all->count && all->heap[child + 1]->heap_ms < all->heap[child]->heap_ms)
            child++;
        if (deadline->heap_ms <= all->heap[child]->heap_ms)
            break;
        put_at(all, index, all->heap[child]);
        index = child;
    }
    put_at(all, index, deadline);
}

static void heap_add(struct deadlines *all, struct deadline *deadline)
{
    if (all->count == all->cap) {
        all->cap = all->cap ? all->cap * 2 : 64;
        all->heap = mem_realloc(all->heap, all->cap * sizeof(*all->heap));
    }
    all->count++;
    sift_up(all, all->count - 1, deadline);
}

static void heap_remove(struct deadlines *all, struct deadline *deadline)
{
    uint32_t index = deadline->place - 1;
    assert(index < all->count && all->heap[index] == deadline);

    deadline->place = 0;
    struct deadline *last = all->heap[--all->count];
    if (last == deadline)
        return;
    if (last->heap_ms < deadline->heap_ms)
        sift_up(all, index, last);
    else
        sift_down(all, index, last);
}

void deadlines_set(struct deadlines *all, struct deadline *deadline, uint64_t due_ms)
{
    if (due_ms <= all->running_ms)
        due_ms = all->running_ms + 1; /* also keeps 0 for "not set" */
    deadline->due_ms = due_ms;

    if (deadline->place == 0) {
        deadline->heap_ms = due_ms;
        heap_add(all, deadline);
    } else if (due_ms < deadline->heap_ms) {
        deadline->heap_ms = due_ms;
        sift_up(all, deadline->place - 1, deadline);
    }
}

void deadlines_clear(struct deadlines *all, struct deadline *deadline)
{
    deadline->due_ms = 0;
    if (deadline->place != 0)
        heap_remove(all, deadline);
}

/* One at a time from the top, each out of the heap before it is called: the heap is whole whenever
 * somebody else's code runs, and what is set meanwhile is due later than `now_ms`. */
void deadlines_run(struct deadlines *all, uint64_t now_ms)
{
    assert(all->running_ms == 0);
    all->running_ms = now_ms;
    while (all->count > 0 && all->heap[0]->heap_ms <= now_ms) {
        struct deadline *first = all->heap[0];
        if (first->due_ms > now_ms) { /* was moved later */
            first->heap_ms = first->due_ms;
            sift_down(all, 0, first);
            continue;
        }
        heap_remove(all, first);
        first->due_ms = 0;
        first->on_due(first); /* may set, clear or free any deadline */
    }
    all->running_ms = 0;
}

uint64_t deadlines_next_ms(const struct deadlines *all)
{
    return all->count > 0 ? all->heap[0]->heap_ms : UINT64_MAX;
}
