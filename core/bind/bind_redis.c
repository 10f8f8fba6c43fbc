/* core.redis_reader: replies of a Redis server as Lua values, built while they arrive. The
 * collector owns a reader; its user value holds the lists that are not complete yet, outermost
 * first. */
#ifdef NEAP_HAS_HIREDIS

#include "client/redis_reader.h"
#include "value/binding.h"
#include "value/json_write.h"
#include "value/units.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define READER_TYPE "neap.redis.reader"
#define ERROR_TYPE "neap.redis.error" /* its methods are in lua/neap/redis.lua */

struct open_list {
    long long count;
    long long at; /* items that it has */
    bool has_nulls;
};

struct reader_box {
    struct redis_reader *reader; /* NULL: closed */
    int depth;
    struct open_list lists[REDIS_READER_DEPTH];
    bool is_broken; /* bytes were no replies, or memory ran out in the middle of one */
};

/* ---- values ---- */

/* {code = "WRONGTYPE", message = "Operation against ..."} */
static void bind_redis_push_error(lua_State *L, const char *text, size_t len)
{
    const char *space = memchr(text, ' ', len);
    size_t code_len = space ? (size_t)(space - text) : len;
    size_t rest = space ? code_len + 1 : code_len;
    lua_createtable(L, 0, 2);
    lua_pushlstring(L, text, code_len);
    lua_setfield(L, -2, "code");
    lua_pushlstring(L, text + rest, len - rest);
    lua_setfield(L, -2, "message");
    luaL_setmetatable(L, ERROR_TYPE);
}

static void push_list(lua_State *L, long long count)
{
    lua_createtable(L, count < 256 ? (int)count : 256, 0); /* the server may promise anything */
    json_push_array_metatable(L);
    lua_setmetatable(L, -2);
}

static void push_item(lua_State *L, const struct redis_item *item)
{
    switch (item->kind) {
    case REDIS_ITEM_NULL: lua_pushnil(L); break;
    case REDIS_ITEM_INTEGER: lua_pushinteger(L, (lua_Integer)item->number); break;
    case REDIS_ITEM_TEXT: lua_pushlstring(L, item->text, item->len); break;
    case REDIS_ITEM_ERROR: bind_redis_push_error(L, item->text, item->len); break;
    case REDIS_ITEM_LIST: push_list(L, item->number); break;
    }
}

/* ---- lists in the making; stack: box, lists, ... ---- */

static bool open_list(lua_State *L, struct reader_box *box, long long count)
{
    if (box->depth == REDIS_READER_DEPTH)
        return false;
    box->lists[box->depth++] = (struct open_list){.count = count};
    lua_rawseti(L, 2, box->depth);
    return true;
}

/* Takes the innermost list, complete now, and pushes it. A list with holes has its length in
 * `n`. */
static void close_list(lua_State *L, struct reader_box *box)
{
    const struct open_list *list = &box->lists[box->depth - 1];
    lua_rawgeti(L, 2, box->depth);
    if (list->has_nulls) {
        lua_pushinteger(L, (lua_Integer)list->count);
        lua_setfield(L, -2, "n");
    }
    lua_pushnil(L);
    lua_rawseti(L, 2, box->depth--);
}

/* The value on top finds its place. Whether it, or the list that it completes, is the whole reply:
 * that one is on top then. */
static bool bind_redis_put_value(lua_State *L, struct reader_box *box)
{
    while (box->depth > 0) {
        struct open_list *list = &box->lists[box->depth - 1];
        list->has_nulls |= lua_isnil(L, -1);
        lua_rawgeti(L, 2, box->depth);
        lua_insert(L, -2);
        lua_rawseti(L, -2, (lua_Integer)++list->at);
        lua_pop(L, 1);
        if (list->at < list->count)
            return false;
        close_list(L, box);
    }
    return true;
}

/* ---- for Lua ---- */

static struct reader_box *check_box(lua_State *L)
{
    return luaL_checkudata(L, 1, READER_TYPE);
}

static int reader_new(lua_State *L) /* redis_reader(max_reply) -> reader */
{
    uint64_t max_reply = units_check_size(L, 1);
    struct reader_box *box = lua_newuserdatauv(L, sizeof(*box), 1);
    *box = (struct reader_box){.depth = 0};
    luaL_setmetatable(L, READER_TYPE);
    lua_newtable(L);
    lua_setiuservalue(L, -2, 1);
    box->reader = redis_reader_new((size_t)max_reply);
    return box->reader ? 1 : luaL_error(L, "not enough memory");
}

static int reader_feed(lua_State *L) /* r:feed(bytes) */
{
    size_t len;
    struct reader_box *box = check_box(L);
    const char *data = luaL_checklstring(L, 2, &len);
    if (box->reader && redis_reader_feed(box->reader, data, len) != 0)
        box->is_broken = true;
    return 0;
}

static int push_broken(lua_State *L, const char *why)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

/* A whole reply on top, or its error. */
static int push_whole(lua_State *L, bool is_error)
{
    lua_pushboolean(L, 1);
    if (is_error)
        lua_pushnil(L);
    lua_pushvalue(L, 3);
    return is_error ? 3 : 2;
}

/* r:next() -> true, value | true, nil, err: a reply | false: bytes are missing | nil, why: no more
 * replies can be told apart */
static int reader_next(lua_State *L)
{
    struct reader_box *box = check_box(L);
    struct redis_item item;
    int got;
    if (!box->reader || box->is_broken)
        return push_broken(L, "protocol");
    lua_settop(L, 1);
    lua_getiuservalue(L, 1, 1); /* stack: box, lists */

    box->is_broken = true; /* should anything below raise */
    while ((got = redis_reader_next(box->reader, &item)) == 1) {
        bool is_alone = box->depth == 0;
        push_item(L, &item);
        if (item.kind == REDIS_ITEM_LIST && item.number > 0) {
            if (!open_list(L, box, item.number))
                return push_broken(L, "protocol");
        } else if (bind_redis_put_value(L, box)) {
            box->is_broken = false;
            return push_whole(L, is_alone && item.kind == REDIS_ITEM_ERROR);
        }
    }
    if (got < 0)
        return push_broken(L, got == -E2BIG ? "too_large" : "protocol");
    box->is_broken = false;
    lua_pushboolean(L, 0);
    return 1;
}

static int reader_gc(lua_State *L)
{
    struct reader_box *box = check_box(L);
    if (box->reader)
        redis_reader_free(box->reader);
    box->reader = NULL;
    return 0;
}

static int bind_redis(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"feed", reader_feed},
        {"next", reader_next},
        {NULL, NULL},
    };
    luaL_newmetatable(L, READER_TYPE);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, reader_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);

    lua_pushcfunction(L, reader_new);
    lua_setfield(L, -2, "redis_reader");
    luaL_newmetatable(L, ERROR_TYPE);
    lua_setfield(L, -2, "redis_error");
    return 0;
}

BINDING(bind_redis)

#endif
