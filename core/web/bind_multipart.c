/* Multipart forms for Lua: bytes in, a list of events out. lua/neap/app/multipart.lua makes parts
 * of them. */
#include "http/multipart.h"
#include "task/task.h"
#include "value/binding.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdbool.h>

#define MULTIPART_TYPE "neap.multipart"
#define EVENTS_MAX 64     /* of one call */
#define EVENTS_SIZE 16384 /* of so many bytes that is worth, as task_had_enough counts */

/* The userdata. */
struct parser_object {
    struct multipart mp;
    bool is_open; /* mp is initialised */
};

static struct multipart *parser_check(lua_State *L, int index)
{
    struct parser_object *object = luaL_checkudata(L, index, MULTIPART_TYPE);
    luaL_argcheck(L, object->is_open, index, "this parser is closed");
    return &object->mp;
}

static lua_Integer option_max_parts(lua_State *L, int index)
{
    lua_Integer max = MULTIPART_MAX_PARTS;
    if (lua_isnoneornil(L, index))
        return max;
    luaL_checktype(L, index, LUA_TTABLE);
    if (lua_getfield(L, index, "max_parts") != LUA_TNIL)
        max = luaL_checkinteger(L, -1);
    lua_pop(L, 1);
    luaL_argcheck(L, max >= 0 && max <= UINT32_MAX, index, "max_parts is out of range");
    return max;
}

/* core.multipart(boundary [, {max_parts=}]) -> parser */
static int multipart_make(lua_State *L)
{
    size_t len;
    const char *boundary = luaL_checklstring(L, 1, &len);
    lua_Integer max_parts = option_max_parts(L, 2);
    struct parser_object *object = lua_newuserdatauv(L, sizeof *object, 0);
    object->is_open = false;
    luaL_setmetatable(L, MULTIPART_TYPE);

    object->is_open = multipart_init(&object->mp, boundary, len, (uint32_t)max_parts) == 0;

    luaL_argcheck(L, object->is_open, 1, "not a valid boundary (take it from core.boundary)");
    return 1;
}

static int parser_gc(lua_State *L)
{
    struct parser_object *object = luaL_checkudata(L, 1, MULTIPART_TYPE);
    if (object->is_open)
        multipart_deinit(&object->mp);
    object->is_open = false;
    return 0;
}

static int bind_multipart_push_error(lua_State *L, int err)
{
    lua_pushnil(L);
    lua_pushstring(L, err == -E2BIG ? "too_many" : err == -EMSGSIZE ? "too_large" : "invalid");
    return 2;
}

static void bind_multipart_set_text(lua_State *L, const char *key, const char *text, size_t len)
{
    if (!text)
        return;
    lua_pushlstring(L, text, len);
    lua_setfield(L, -2, key);
}

/* Fills the event on top. */
static void event_set_part(lua_State *L, const struct multipart_part *part)
{
    bind_multipart_set_text(L, "name", part->names.name, part->names.name_len);
    bind_multipart_set_text(L, "filename", part->names.filename, part->names.filename_len);
    bind_multipart_set_text(L, "content_type", part->type, part->type_len);
    lua_createtable(L, 0, part->header_count);
    for (int i = 0; i < part->header_count; i++) {
        const struct multipart_header *header = &part->headers[i];
        lua_pushlstring(L, header->name, header->name_len);
        lua_pushlstring(L, header->value, header->value_len);
        lua_rawset(L, -3); /* stack: event, headers */
    }
    lua_setfield(L, -2, "headers");
}

static void push_event(lua_State *L, const struct multipart *mp, enum multipart_event event,
                       const struct multipart_piece *piece)
{
    lua_createtable(L, 0, 4);
    if (event == MULTIPART_PART)
        event_set_part(L, &mp->part);
    else if (event == MULTIPART_DATA)
        bind_multipart_set_text(L, "data", piece->data, piece->len);
    lua_pushstring(L, event == MULTIPART_PART ? "part" : event == MULTIPART_DATA ? "data" : "end");
    lua_setfield(L, -2, "type");
}

static int parser_feed(lua_State *L);

static int feed_again(lua_State *L, struct wait *wait)
{
    (void)wait;
    return parser_feed(L);
}

/* parser:feed(chunk [, from]) -> list of events, where to go on in the chunk | nil, "invalid" |
 * "too_many" | "too_large"
 * An error comes alone: what the same chunk held before it is lost, as the form is. */
static int parser_feed(lua_State *L)
{
    size_t len;
    struct multipart *mp = parser_check(L, 1);
    const char *data = luaL_checklstring(L, 2, &len);
    size_t from = (size_t)luaL_optinteger(L, 3, 1) - 1;
    luaL_argcheck(L, from <= len, 3, "it is not in the chunk");
    if (task_had_enough(L, EVENTS_SIZE))
        return task_yield_then(L, feed_again);
    struct multipart_piece piece = {0};
    const char *at = data + from;
    size_t left = len - from;
    int event = MULTIPART_MORE;

    lua_newtable(L);
    for (lua_Integer i = 1; i <= EVENTS_MAX; i++) {
        event = multipart_next(mp, &at, &left, &piece);
        if (event <= 0)
            break;
        /* May raise: the parser stays usable. */
        push_event(L, mp, (enum multipart_event)event, &piece);
        lua_rawseti(L, -2, i);
    }
    if (event < 0)
        return bind_multipart_push_error(L, event);
    if (event == MULTIPART_MORE)
        return 1;
    lua_pushinteger(L, (lua_Integer)(at - data) + 1);
    return 2;
}

/* parser:finish() -> true | nil, error: call it when the body has ended */
static int parser_finish(lua_State *L)
{
    struct multipart *mp = parser_check(L, 1);
    int err = multipart_finish(mp);
    if (err)
        return bind_multipart_push_error(L, err);
    lua_pushboolean(L, true);
    return 1;
}

/* core.boundary(content_type) -> boundary | nil: not multipart/form-data, or none that is valid */
static int bind_boundary(lua_State *L)
{
    size_t type_len;
    size_t len;
    const char *type = luaL_checklstring(L, 1, &type_len);
    const char *boundary = multipart_boundary(type, type_len, &len);
    if (boundary)
        lua_pushlstring(L, boundary, len);
    else
        lua_pushnil(L);
    return 1;
}

static int bind_multipart(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"feed", parser_feed},
        {"finish", parser_finish},
        {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"multipart", multipart_make},
        {"boundary", bind_boundary},
        {NULL, NULL},
    };
    if (luaL_newmetatable(L, MULTIPART_TYPE)) {
        luaL_newlib(L, methods);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, parser_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
    return 0;
}

BINDING(bind_multipart)
