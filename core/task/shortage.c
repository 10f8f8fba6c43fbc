/* A shortage: see shortage.h. Counting well-ended tasks is one addition; the rest happens only when
 * one fails for lack of memory. */
#include "task/shortage.h"

#include "base/list.h"
#include "task/call.h"
#include "task/vm.h"

#include <string.h>

#define SPAN_MS 3000     /* so long they have to fail ... */
#define LEAST 5          /* ... and so many of them */
#define GAP_MS 30000     /* nothing at all has failed for so long: it is over */
#define CERTAIN_MS 60000 /* what was found stays true */
#define RELAX_MIN (4u << 20)

static struct vm *vm_with(struct shortage *shortage)
{
    return container_of(shortage, struct vm, shortage);
}

static void shortage_begin(struct vm *vm, uint64_t now_ms)
{
    struct shortage *shortage = &vm->shortage;
    shortage->since_ms = shortage->last_ms = now_ms;
    shortage->well_before = shortage->ended_well;
    shortage->failures = 0;
}

/* One in ten may end well: who asks whether the server is alive needs next to no memory. */
static bool has_recovered(const struct shortage *shortage, uint64_t now_ms)
{
    uint32_t well = shortage->ended_well - shortage->well_before;
    return well > shortage->failures / 10 + 1 || now_ms - shortage->last_ms > GAP_MS;
}

void shortage_note_memory(struct vm *vm)
{
    struct shortage *shortage = &vm->shortage;
    if (!vm->loop)
        return;
    uint64_t now_ms = loop_now_ms(vm->loop);
    if (shortage->failures == 0 || has_recovered(shortage, now_ms))
        shortage_begin(vm, now_ms);
    shortage->failures++;
    shortage->last_ms = now_ms;
    if (shortage->failures >= LEAST && now_ms - shortage->since_ms >= SPAN_MS)
        loop_defer(vm->loop, &shortage->look_job);
}

/* An error that was caught and raised again is a text like any other. */
void shortage_note(struct vm *vm, lua_State *L, int status)
{
    bool is_text = lua_type(L, -1) == LUA_TSTRING;
    if (status == LUA_ERRMEM || (is_text && strstr(lua_tostring(L, -1), "not enough memory")))
        shortage_note_memory(vm);
}

/* ---- is it one? ---- */

static int shortage_collect(lua_State *L)
{
    lua_gc(L, LUA_GCCOLLECT);
    return 0;
}

/* One request that wants more than there is fails for lack of memory as well, and leaves garbage
 * only. */
static void shortage_on_look(struct loop_job *job)
{
    struct vm *vm = vm_with(container_of(job, struct shortage, look_job));
    size_t limit = vm->options.memory_limit;
    call_protected(vm, shortage_collect, NULL, "collecting garbage");
    shortage_begin(vm, loop_now_ms(vm->loop));
    if (vm->memory < limit - limit / 4)
        return;
    vm->shortage.found_ms = loop_now_ms(vm->loop);
    if (vm->shortage.on_certain)
        vm->shortage.on_certain(vm);
}

bool shortage_is_certain(struct vm *vm)
{
    uint64_t found_ms = vm->shortage.found_ms;
    return found_ms != 0 && loop_now_ms(vm->loop) - found_ms < CERTAIN_MS;
}

void shortage_relax(struct vm *vm)
{
    struct shortage *shortage = &vm->shortage;
    size_t limit = vm->options.memory_limit;
    if (limit == 0 || shortage->relaxed != 0)
        return;
    shortage->relaxed = limit / 4 > RELAX_MIN ? limit / 4 : RELAX_MIN;
    vm->options.memory_limit += shortage->relaxed;
}

void shortage_restore(struct vm *vm)
{
    vm->options.memory_limit -= vm->shortage.relaxed;
    vm->shortage.relaxed = 0;
}

void shortage_init(struct shortage *shortage)
{
    shortage->look_job.run = shortage_on_look;
}

void shortage_deinit(struct shortage *shortage)
{
    loop_cancel_job(&shortage->look_job);
}
