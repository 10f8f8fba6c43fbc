/* Handles instead of pointers: an array of slots. Those that were given back form a list; those
 * behind them were never used, and their memory was never touched. */
#include "base/slots.h"

#include "base/mem.h"

#include <assert.h>
#include <stddef.h>

#define SLOTS_FIRST_CAP 16
#define SLOTS_MAX (UINT32_C(1) << 30)
#define NO_SLOT UINT32_MAX

void slots_init(struct slots *slots)
{
    slots->slots = NULL;
    slots->cap = 0;
    slots->used = 0;
    slots->count = 0;
    slots->first_free = NO_SLOT;
}

void slots_deinit(struct slots *slots)
{
    mem_free(slots->slots);
    slots_init(slots);
}

static void slots_grow(struct slots *slots)
{
    uint32_t cap = slots->cap ? slots->cap * 2 : SLOTS_FIRST_CAP;
    assert(cap <= SLOTS_MAX);
    slots->slots = mem_realloc(slots->slots, cap * sizeof *slots->slots);
    slots->cap = cap;
}

/* The index of a free slot: one that was used before, if there is one. */
static uint32_t take_free(struct slots *slots)
{
    uint32_t index = slots->first_free;
    if (index != NO_SLOT) {
        slots->first_free = slots->slots[index].next_free;
        return index;
    }
    if (slots->used == slots->cap)
        slots_grow(slots);
    index = slots->used++;
    slots->slots[index] = (struct slot){.generation = 1};
    return index;
}

slot_handle slots_put(struct slots *slots, void *object)
{
    assert(object && "NULL is the answer for a dead handle");
    uint32_t index = take_free(slots);
    struct slot *slot = &slots->slots[index];
    slot->object = object;
    slots->count++;
    return (uint64_t)slot->generation << 32 | index;
}

void slots_take(struct slots *slots, slot_handle handle)
{
    if (!slots_get(slots, handle))
        return; /* taken before */
    uint32_t index = (uint32_t)handle;
    struct slot *slot = &slots->slots[index];
    slot->object = NULL;
    if (++slot->generation == 0)
        slot->generation = 1; /* 0 is what makes handle 0 invalid */
    slot->next_free = slots->first_free;
    slots->first_free = index;
    slots->count--;
}
