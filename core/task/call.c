/* The protected door from C into Lua, and the log entry when what is behind it fails. */
#include "task/call.h"

#include "base/log.h"
#include "task/fault.h"
#include "task/vm.h"

#include <lauxlib.h>

/* stack: error. Leaves text and traceback as one string: nobody but the log sees it. */
static int on_failure(lua_State *L)
{
    fault_push_text(L, 1);
    fault_push_stack(L, L, lua_tostring(L, -1), 1);
    return 1;
}

/* Runs what is on the stack, as a slice of its own or as a part of the one that runs. */
static int call_run(struct vm *vm, lua_State *L, int args, int handler)
{
    struct watch *watch = &vm->watch;
    struct task *outer = vm->current;
    lua_State *outer_running = atomic_load_explicit(&watch->running, memory_order_relaxed);
    bool is_nested = watch_is_running(watch);

    vm->current = NULL;
    if (is_nested)
        watch_switch(watch, L);
    else
        watch_enter(watch, L);
    int status = lua_pcall(L, args, 0, handler);
    if (is_nested)
        watch_switch(watch, outer_running);
    else
        watch_leave(watch);
    vm->current = outer;
    return status;
}

int call_protected(struct vm *vm, lua_CFunction fn, void *arg, const char *what)
{
    lua_State *L = vm->L;
    int top = lua_gettop(L);
    if (!lua_checkstack(L, 8)) {
        log_error("%s: failed: not enough memory", what);
        return -1;
    }
    lua_pushcfunction(L, on_failure);
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, arg);
    int status = call_run(vm, L, 1, top + 1);
    if (status != LUA_OK) {
        const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "(no message)";
        log_error("%s: failed: %s", what, text);
    }
    lua_settop(L, top);
    return status == LUA_OK ? 0 : -1;
}
