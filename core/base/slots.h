/* Handles instead of pointers: a slot number with a generation. An object put in gets a handle that
 * answers NULL once the object was taken out, however often the slot is used again. */
#ifndef BASE_SLOTS_H
#define BASE_SLOTS_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t slot_handle; /* 0 is never a valid handle */

struct slot {
    void *object;        /* NULL while free */
    uint32_t generation; /* counts uses; part of the handle */
    uint32_t next_free;
};

struct slots {
    struct slot *slots;
    uint32_t cap;
    uint32_t used;  /* ever; what is behind them is not initialised */
    uint32_t count; /* in use */
    uint32_t first_free;
};

void slots_init(struct slots *slots);
void slots_deinit(struct slots *slots); /* the objects belong to others */
slot_handle slots_put(struct slots *slots, void *object);
void slots_take(struct slots *slots, slot_handle handle); /* the handle is dead from here on */

static inline void *slots_get(const struct slots *slots, slot_handle handle)
{
    uint32_t index = (uint32_t)handle;
    if (index >= slots->used || slots->slots[index].generation != (uint32_t)(handle >> 32))
        return NULL;
    return slots->slots[index].object;
}

/* The objects one after the other: `place` is 0 at first and moves on; NULL: those were all. One
 * may be taken out, or put in, meanwhile. */
static inline void *slots_next(const struct slots *slots, uint32_t *place)
{
    while (*place < slots->used) {
        void *object = slots->slots[(*place)++].object;
        if (object)
            return object;
    }
    return NULL;
}

#endif
