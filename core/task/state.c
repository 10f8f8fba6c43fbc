/* One Lua state from its beginning to its end, owned by its generation. */
#include "task/state.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/scarce.h"
#include "task/call.h"
#include "task/coroutine.h"
#include "task/guard.h"
#include "task/own_env.h"
#include "task/shortage.h"
#include "task/stdlib.h"
#include "task/stop.h"
#include "task/task.h"
#include "task/watchdog.h"

#include <assert.h>
#include <lualib.h>
#include <stdlib.h>

/* A step of the collector works off all that was allocated since the last one, times this percent.
 * With Lua's 100, a body of 64 KB was followed by a whole collection of some 5 ms, in one step.
 * With 12 a collection is spread over more steps; garbage grows by some ten percent meanwhile. */
#define GC_STEP_PERCENT 12

/* Over the ceiling the answer is NULL: Lua collects garbage, then raises "not enough memory". */
static void *allocate(void *arg, void *ptr, size_t old_size, size_t new_size)
{
    struct vm *vm = arg;
    size_t old = ptr != NULL ? old_size : 0; /* without ptr, old_size is a type */
    size_t limit = vm->options.memory_limit;
    if (new_size == 0) {
        free(ptr);
        vm->memory -= old;
        return NULL;
    }
    if (limit != 0 && new_size > old && vm->memory - old + new_size > limit)
        return NULL;
    if (new_size > old && scarce_hits(SCARCE_LUA))
        return NULL;
    void *moved = realloc(ptr, new_size);
    if (moved != NULL)
        vm->memory += new_size - old;
    return moved;
}

/* Only what is called outside any protected call gets here, which is a mistake of ours. */
static int on_panic(lua_State *L)
{
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "(no message)";
    log_error("unprotected error in a call to Lua: %s", text);
    log_stop();
    abort();
}

/* A warning comes in pieces; an error in a __gc handler is one. */
static void on_warning(void *arg, const char *piece, int to_be_continued)
{
    struct vm *vm = arg;
    if (!to_be_continued && vm->warning.len == 0 && piece[0] == '@')
        return; /* "@on", "@off": ours are always on */
    bytes_append_text(&vm->warning, piece);
    if (to_be_continued)
        return;
    log_own_line(LOG_WARN, vm->warning.data, vm->warning.len, NULL, 0);
    bytes_clear(&vm->warning);
}

/* Lua 5.4.4 makes the metatable of a large luaL_Buffer's storage at its first use; when memory runs
 * out in that very moment, every later use fails. So the first use is now. */
static void warm_buffers(lua_State *L)
{
    luaL_Buffer buffer;
    luaL_buffinitsize(L, &buffer, (size_t)LUAL_BUFFERSIZE * 2);
    luaL_pushresultsize(&buffer, 0);
    lua_pop(L, 1);
}

static int open_all(lua_State *L)
{
    const struct vm *vm = vm_of(L);
    luaL_openlibs(L);
    warm_buffers(L);
    stop_open(L);
    stdlib_clean(L, vm->options.lua_dir);
    coroutine_open(L);
    guard_open(L);
    own_env_open(L); /* the last */
    return 0;
}

struct vm *state_new(const struct vm_options *options)
{
    struct vm *vm = mem_calloc(sizeof(*vm));
    vm->options = *options;
    vm->loop = options->loop;
    slots_init(&vm->task_slots);
    slots_init(&vm->sockets);
    slots_init(&vm->databases);
    list_init(&vm->tasks);
    list_init(&vm->idle_tasks);
    list_init(&vm->ready);
    list_init(&vm->yielded);
    bytes_init(&vm->warning);
    shortage_init(&vm->shortage);

    vm->L = lua_newstate(allocate, vm);
    if (vm->L == NULL)
        goto fail;
    *(struct vm **)lua_getextraspace(vm->L) = vm;
    lua_atpanic(vm->L, on_panic);
    lua_gc(vm->L, LUA_GCINC, 0, GC_STEP_PERCENT, 0);
    lua_setwarnf(vm->L, on_warning, vm);
    watchdog_init(vm);
    if (call_protected(vm, open_all, NULL, "the standard library") == 0)
        return vm;

    watchdog_deinit(vm);
    lua_close(vm->L);
fail:
    slots_deinit(&vm->task_slots);
    slots_deinit(&vm->sockets);
    slots_deinit(&vm->databases);
    mem_free(vm);
    return NULL;
}

/* What runs in here (__gc, __close) cannot wait any more: there is no current task. */
void state_free(struct vm *vm)
{
    assert(list_is_empty(&vm->tasks) && vm->current == NULL);
    task_free_idle(vm);
    loop_cancel_job(&vm->ready_job);
    loop_cancel_job(&vm->yield_job);
    shortage_deinit(&vm->shortage);
    watch_enter(&vm->watch, vm->L);
    lua_close(vm->L);
    watch_leave(&vm->watch);
    watchdog_deinit(vm);
    slots_deinit(&vm->task_slots);
    slots_deinit(&vm->sockets);
    slots_deinit(&vm->databases);
    bytes_deinit(&vm->warning);
    mem_free(vm);
}
