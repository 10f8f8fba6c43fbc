/* A generation: see generation.h. Booting is a task like any other, so an application may park
 * while it loads. */
#include "life/generation.h"

#include "base/log.h"
#include "base/mem.h"
#include "life/phase.h"
#include "life/remains.h"
#include "task/call.h"
#include "task/core.h"
#include "task/own_env.h"
#include "task/state.h"
#include "task/task.h"
#include "task/task_ref.h"
#include "web/app.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#ifndef NEAP_VERSION
#define NEAP_VERSION "unknown"
#endif

struct generation {
    struct vm *vm;
    struct generation_options options;
    struct phases phases;
    struct loop_job booted_job; /* tells the owner at the end of the turn */
    generation_booted_fn on_booted;
    enum generation_outcome outcome;
    int exit_code;
    char *message; /* owned */
};

/* --- neap.core --- */

static void set_integer(lua_State *L, const char *name, int value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

static void generation_set_text(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value); /* nil for NULL */
    lua_setfield(L, -2, name);
}

/* What this generation is, and the settings: fields of neap.core. */
static int describe(lua_State *L)
{
    struct generation *gen = lua_touserdata(L, 1);
    const struct generation_options *options = &gen->options;
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, "neap.core") != LUA_TTABLE)
        return luaL_error(L, "neap.core is missing");
    generation_set_text(L, "version", NEAP_VERSION);
    generation_set_text(L, "mode", options->mode);
    generation_set_text(L, "config_file", options->config_file);
    generation_set_text(L, "environment", options->environment);
    set_integer(L, "worker", options->worker);
    set_integer(L, "workers", options->workers);
    set_integer(L, "generation", options->number);
    settings_push(L, options->settings, options->setting_count);
    lua_setfield(L, -2, "config");
    return 0;
}

/* --- the boot task --- */

static const char boot_code[] = "return require('neap.life.boot').main(...)";

struct boot_arguments {
    struct task *task;
    const char *mode;
    int argc;
    char *const *argv;
};

/* Puts the boot function and its arguments on the task's stack. */
static int push_boot(lua_State *L)
{
    struct boot_arguments *boot = lua_touserdata(L, 1);
    lua_State *co = boot->task->co;
    luaL_checkstack(L, boot->argc + 4, "too many arguments");
    if (!lua_checkstack(co, boot->argc + 4))
        return luaL_error(L, "too many arguments");
    if (luaL_loadbufferx(L, boot_code, sizeof boot_code - 1, "=boot", "t") != LUA_OK)
        return lua_error(L);
    own_env_give(L);
    lua_pushstring(L, boot->mode);
    for (int i = 0; i < boot->argc; i++)
        lua_pushstring(L, boot->argv[i]);
    lua_xmove(L, co, boot->argc + 2);
    return 0;
}

static void tell_owner(struct loop_job *job)
{
    struct generation *gen = container_of(job, struct generation, booted_job);
    const struct generation_result result = {
        .outcome = gen->outcome, .exit_code = gen->exit_code, .message = gen->message};
    gen->on_booted(gen, &result); /* may free gen */
}

static void finish_boot(struct generation *gen, enum generation_outcome outcome, int exit_code,
                        const char *message)
{
    gen->outcome = outcome;
    gen->exit_code = exit_code;
    gen->message = message ? mem_strdup(message) : NULL;
    loop_defer(gen->vm->loop, &gen->booted_job);
}

/* boot.lua explains what goes wrong in an application; this is for what goes wrong in boot.lua
 * itself, and for what no script may catch. Stack: error, traceback. */
static int boot_failed(lua_State *L, struct task *task)
{
    (void)task;
    const char *text = luaL_tolstring(L, 1, NULL);
    lua_pushinteger(L, 1);
    if (task_is_cancel(L, 1))
        lua_pushfstring(L,
                        "neap: %s. What computes for long can have more time (--set "
                        "watchdog.raise=1h, or 0 for any) or a thread (task.thread).\n",
                        text);
    else
        lua_pushfstring(L,
                        "neap: %s\n%s\nIs the folder of neap's Lua files complete? NEAP_LUA_DIR "
                        "can "
                        "point at another.\n",
                        text, lua_tostring(L, 2));
    return 2;
}

static bool has_text(lua_State *L, int index)
{
    return lua_gettop(L) >= index && lua_type(L, index) == LUA_TSTRING;
}

/* Results of main, alone on `co`: "serve", or an exit code and perhaps a message for stderr. */
static void boot_ended(struct task *task, int status)
{
    struct generation *gen = task->owner;
    lua_State *co = task->co;
    int code = lua_gettop(co) > 0 ? (int)lua_tointeger(co, 1) : 0;
    if (task->is_cancelled)
        finish_boot(gen, GENERATION_CANCELLED, 1, NULL);
    else if (status != LUA_OK)
        finish_boot(gen, GENERATION_FAILED, 1, "neap: the Lua side could not start\n");
    else if (has_text(co, 1) && strcmp(lua_tostring(co, 1), "serve") == 0)
        finish_boot(gen, GENERATION_SERVE, 0, NULL);
    else if (has_text(co, 2))
        finish_boot(gen, GENERATION_FAILED, code, lua_tostring(co, 2));
    else
        finish_boot(gen, GENERATION_DONE, code, NULL);
}

void generation_boot(struct generation *gen, int argc, char *const *argv,
                     generation_booted_fn on_booted)
{
    gen->on_booted = on_booted;
    struct task *task = task_new(gen->vm, "main");
    struct boot_arguments boot = {
        .task = task, .mode = gen->options.mode, .argc = argc, .argv = argv};
    if (!task || call_protected(gen->vm, push_boot, &boot, "boot") != 0) {
        if (task)
            task_drop(task);
        finish_boot(gen, GENERATION_FAILED, 1, "neap: not enough memory to start\n");
        return;
    }
    task->owner = gen;
    task->on_error = boot_failed;
    task->on_end = boot_ended;
    task_start_later(task, argc + 1);
}

/* --- life --- */

static void tell_shortage(struct vm *vm)
{
    struct generation *gen = vm->generation;
    if (gen->options.on_shortage)
        gen->options.on_shortage(gen);
}

struct generation *generation_new(const struct generation_options *options)
{
    struct vm *vm = state_new(&options->vm);
    if (!vm)
        return NULL;
    struct generation *gen = mem_calloc(sizeof *gen);
    gen->vm = vm;
    gen->options = *options;
    gen->booted_job.run = tell_owner;
    vm->generation = gen;
    vm->shortage.on_certain = tell_shortage;
    phases_init(&gen->phases, gen, vm);
    if (core_install(vm) == 0 && call_protected(vm, describe, gen, "neap.core") == 0)
        return gen;
    generation_free(gen);
    return NULL;
}

void generation_run_phase(struct generation *gen, enum generation_phase phase, const char *reason,
                          generation_phase_fn on_done)
{
    const struct phase_run run = {.phase = phase, .reason = reason, .on_done = on_done};
    phases_run(&gen->phases, &run);
}

void generation_cancel(struct generation *gen)
{
    if (!phases_is_cleaning(&gen->phases)) /* all tasks there are belong to it */
        task_cancel_all(gen->vm);
}

void generation_cut(struct generation *gen, struct http_server *http)
{
    remains_cut(gen->vm, http);
}

void generation_take(struct generation *gen, struct http_server *http)
{
    struct vm *vm = gen->vm;
    if (remains_take(vm, http) || vm->requests + vm->websockets == 0)
        return;
    log_error("generation %d: %u requests and %u WebSockets are counted that nobody has, which is "
              "a "
              "mistake of neap: please report it",
              gen->options.number, (unsigned)vm->requests, (unsigned)vm->websockets);
    vm->requests = vm->websockets = 0;
}

void generation_log_remains(const struct generation *gen, const struct http_server *http,
                            const char *what)
{
    char text[200];
    snprintf(text, sizeof text, "generation %d %s", gen->options.number, what);
    remains_log(text, gen->vm, http);
}

bool generation_is_idle(const struct generation *gen)
{
    return list_is_empty(&gen->vm->tasks);
}

bool generation_has_callbacks(const struct generation *gen)
{
    list_each (link, &gen->vm->tasks)
        if (!task_ref_is_spawned(container_of(link, struct task, link)))
            return true;
    return false;
}

bool generation_has_clients(const struct generation *gen)
{
    const struct vm *vm = gen->vm;
    return vm->requests > 0 || vm->websockets > 0 || generation_has_callbacks(gen);
}

void generation_free(struct generation *gen)
{
    loop_cancel_job(&gen->booted_job);
    phases_deinit(&gen->phases);
    struct app *app = gen->vm->app;
    state_free(gen->vm);
    app_free(app);
    mem_free(gen->message);
    mem_free(gen);
}

int generation_number(const struct generation *gen)
{
    return gen->options.number;
}

struct vm *generation_vm(const struct generation *gen)
{
    return gen->vm;
}

void *generation_owner(const struct generation *gen)
{
    return gen->options.owner;
}

struct phases *generation_phases(struct generation *gen)
{
    return &gen->phases;
}

void generation_want_stop(struct generation *gen, int exit_code)
{
    if (gen->options.on_stop_wanted)
        gen->options.on_stop_wanted(gen, exit_code);
}
