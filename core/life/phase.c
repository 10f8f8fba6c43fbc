/* The later phases of a generation: see phase.h. What they do is lua/neap/life/lifecycle.lua's. */
#include "life/phase.h"

#include "task/call.h"
#include "task/task.h"
#include "task/vm.h"
#include "value/binding.h"

#include <assert.h>
#include <lauxlib.h>

static const char *const names[] = {"ready", "shutdown", "cleanup"}; /* as enum generation_phase */

static void phase_begin(struct phases *phases, const struct phase_run *run);

/* --- the end of one --- */

static void phase_tell(struct loop_job *job)
{
    struct phases *phases = container_of(job, struct phases, told);
    const struct phase_run done = phases->now;
    bool is_clean = phases->is_clean;
    phases->is_running = false;
    if (phases->has_next) {
        phases->has_next = false;
        phase_begin(phases, &phases->next);
    }
    done.on_done(phases->gen, done.phase, is_clean); /* may free the generation */
}

static void phase_end(struct phases *phases, bool is_clean)
{
    phases->is_clean = is_clean;
    phases->task = 0;
    loop_defer(phases->vm->loop, &phases->told);
}

static void on_task_end(struct task *task, int status)
{
    bool is_clean = status == LUA_OK && lua_gettop(task->co) > 0 && lua_toboolean(task->co, 1);
    phase_end(task->owner, is_clean);
}

/* --- its beginning --- */

/* Puts the function and its arguments on the task's stack. */
static int push_call(lua_State *L)
{
    const struct phases *phases = lua_touserdata(L, 1);
    struct task *task = task_get(phases->vm, phases->task);
    lua_rawgeti(L, LUA_REGISTRYINDEX, phases->fn_ref);
    lua_pushstring(L, names[phases->now.phase]);
    lua_pushstring(L, phases->now.reason);
    lua_xmove(L, task->co, 3);
    return 0;
}

static void phase_begin(struct phases *phases, const struct phase_run *run)
{
    phases->now = *run;
    phases->is_running = true;
    if (phases->fn_ref == LUA_NOREF) {
        phase_end(phases, true);
        return;
    }
    struct task *task = task_new(phases->vm, names[run->phase]);
    if (!task) {
        phase_end(phases, false);
        return;
    }
    phases->task = task->handle;
    if (call_protected(phases->vm, push_call, phases, names[run->phase]) != 0) {
        task_drop(task);
        phase_end(phases, false);
        return;
    }
    task->owner = phases;
    task->on_end = on_task_end;
    task_start_later(task, 2);
}

void phases_run(struct phases *phases, const struct phase_run *run)
{
    if (!phases->is_running) {
        phase_begin(phases, run);
        return;
    }
    assert(run->phase > phases->now.phase);
    struct task *task = task_get(phases->vm, phases->task);
    phases->next = *run;
    phases->has_next = true;
    if (task)
        task_cancel(task);
}

bool phases_is_cleaning(const struct phases *phases)
{
    return phases->is_running && phases->now.phase == GENERATION_CLEANUP;
}

/* --- for Lua --- */

static int on_phase(lua_State *L) /* on_phase(fn): fn(phase, reason) -> whether all went well */
{
    struct phases *phases = generation_phases(vm_of(L)->generation);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    luaL_unref(L, LUA_REGISTRYINDEX, phases->fn_ref);
    phases->fn_ref = LUA_NOREF; /* should luaL_ref raise */
    phases->fn_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static int stop(lua_State *L) /* stop(exit_code): the whole server, in good order */
{
    lua_Integer exit_code = luaL_checkinteger(L, 1);
    luaL_argcheck(L, exit_code >= 0 && exit_code <= 255, 1, "an exit code is from 0 to 255");

    generation_want_stop(vm_of(L)->generation, (int)exit_code);
    return 0;
}

static int bind_phases(lua_State *L)
{
    static const luaL_Reg functions[] = {{"on_phase", on_phase}, {"stop", stop}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
    return 0;
}

BINDING(bind_phases)

/* --- life --- */

void phases_init(struct phases *phases, struct generation *gen, struct vm *vm)
{
    *phases = (struct phases){.gen = gen, .vm = vm, .fn_ref = LUA_NOREF, .told.run = phase_tell};
}

void phases_deinit(struct phases *phases)
{
    loop_cancel_job(&phases->told);
}
