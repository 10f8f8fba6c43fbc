/* neap.keep: see kept.h. A state that is being built gets copies of what its predecessor holds, to
 * start with; when it begins to serve, the same tables are filled again with what has become of
 * them. They are in the registry, by name. */
#include "life/kept.h"

#include "base/bytes.h"
#include "base/log.h"
#include "task/call.h"
#include "task/vm.h"
#include "value/binding.h"
#include "value/scratch.h"
#include "value/value.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#define KEPT_KEY "neap.kept"
#define LABEL_SIZE 100

static void push_all(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, KEPT_KEY);
}

/* ---- out of a state ---- */

struct packing {
    const char *name;
    struct bytes data; /* len 0: nothing is kept by that name */
    char *error;       /* "" while all went well */
};

/* Packs the table on top. */
static void pack_table(lua_State *L, struct packing *packing)
{
    char label[LABEL_SIZE];
    snprintf(label, sizeof(label), "keep \"%.80s\"", packing->name);
    value_write_named(L, -1, label, &packing->data, packing->error);
}

/* Called in the state that has the table. */
static int kept_pack(lua_State *L)
{
    struct packing *packing = lua_touserdata(L, 1);
    push_all(L);
    if (lua_getfield(L, -1, packing->name) == LUA_TTABLE)
        pack_table(L, packing);
    return 0;
}

static int try_all(lua_State *L)
{
    struct packing *packing = lua_touserdata(L, 1);
    push_all(L);
    for (lua_pushnil(L); !packing->error[0] && lua_next(L, -2); lua_pop(L, 1)) {
        packing->name = lua_tostring(L, -2);
        pack_table(L, packing);
        bytes_clear(&packing->data);
    }
    return 0;
}

bool kept_can_travel(struct vm *vm, char error[KEPT_ERROR_SIZE])
{
    struct packing packing = {.error = error};
    error[0] = '\0';
    if (call_protected(vm, try_all, &packing, "neap.keep") != 0)
        snprintf(error, KEPT_ERROR_SIZE, "what neap.keep holds could not be read, see the log");
    bytes_deinit(&packing.data);
    return error[0] == '\0';
}

/* ---- into another ---- */

struct filling {
    struct vm *from;
    struct bytes data;
};

/* Table at 1 := the packed one. */
static void fill(lua_State *L, int table, const struct bytes *data)
{
    value_push(L, data->data, data->len);
    for (lua_pushnil(L); lua_next(L, table);) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_pushnil(L);
        lua_rawset(L, table); /* clearing a field while walking is allowed */
    }
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, table); /* stack: fresh, key, value */
    }
    lua_pop(L, 1);
}

/* What `from` keeps by that name; len 0: nothing, or it cannot travel (logged). */
static struct bytes pack_in(struct vm *from, const char *name)
{
    char error[KEPT_ERROR_SIZE] = "";
    struct packing packing = {.name = name, .error = error};
    if (call_protected(from, kept_pack, &packing, "neap.keep") != 0)
        snprintf(error, sizeof(error), "what neap.keep holds could not be read, see the log");
    if (!error[0])
        return packing.data;
    log_warn("reload: %s; the next generation goes on with an earlier copy", error);
    bytes_deinit(&packing.data); /* as far as it came */
    return (struct bytes){0};
}

static int fill_all(lua_State *L)
{
    struct filling *filling = lua_touserdata(L, 1);
    push_all(L);
    for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
        filling->data = pack_in(filling->from, lua_tostring(L, -2));
        if (filling->data.len > 0)
            fill(L, lua_gettop(L), &filling->data);
        bytes_deinit(&filling->data);
    }
    return 0;
}

void kept_take_over(struct vm *from, struct vm *to)
{
    struct filling filling = {.from = from};
    call_protected(to, fill_all, &filling, "neap.keep");
    bytes_deinit(&filling.data); /* when memory ran out half-way */
}

/* ---- for Lua ---- */

/* Pushes a copy of what the predecessor keeps; false: nothing. Raises when memory runs out. */
static bool push_inherited(lua_State *L, const char *name)
{
    struct vm *from = vm_of(L)->options.predecessor;
    if (!from)
        return false;
    struct bytes *data = scratch_push(L);
    *data = pack_in(from, name);
    if (data->len == 0)
        return false;
    value_push(L, data->data, data->len);
    bytes_deinit(data);
    return true;
}

/* core.kept(name [, table]) -> the table kept by that name, or nil. With a table: keeps it, if
 * there is none yet. */
static int core_kept(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 2);
    push_all(L);
    if (lua_getfield(L, 3, name) == LUA_TTABLE)
        return 1;
    lua_pop(L, 1);
    if (lua_istable(L, 2))
        lua_pushvalue(L, 2);
    else if (!push_inherited(L, name))
        return 0;
    lua_pushvalue(L, -1);
    lua_setfield(L, 3, name);
    return 1;
}

static int bind_kept(lua_State *L)
{
    lua_pushcfunction(L, core_kept);
    lua_setfield(L, -2, "kept");
    return 0;
}

BINDING(bind_kept)
