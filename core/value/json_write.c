/* The JSON writer: walks a Lua value once and appends text. It never raises and runs no Lua code,
 * so its caller may hold memory of its own meanwhile.
 *
 * A table is an array when its keys are 1..n (n > 0) or when json.array marked it; anything else is
 * an object with string keys. Tables of both kinds at once, and holes, are refused: guessing would
 * hide a mistake. */
#include "value/json_write.h"

#include "base/quote.h"
#include "value/place.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <yyjson.h>

struct writer {
    lua_State *L;
    struct bytes *out;
    bool is_pretty;
    int null;         /* where in the stack: json.null */
    int array_marker; /* and the metatable of arrays */
    struct json_error *error;
};

static bool write_value(struct writer *writer, int index, const struct place *place, int depth);

/* ---- errors ---- */

/* Says what went wrong and where. Always false, for `return json_write_fail(...)`. */
static bool json_write_fail(struct writer *writer, const struct place *place, const char *what)
{
    struct bytes text;
    bytes_init(&text);
    place_append(&text, place);
    if (text.len > 0)
        snprintf(writer->error->text, JSON_ERROR_SIZE, "%s at %.*s", what, (int)text.len,
                 text.data);
    else
        snprintf(writer->error->text, JSON_ERROR_SIZE, "%s", what);
    bytes_deinit(&text);
    return false;
}

static bool fail_memory(struct writer *writer)
{
    snprintf(writer->error->text, JSON_ERROR_SIZE, "not enough memory for the JSON text");
    return false;
}

/* ---- text ---- */

/* Room for `len` more bytes; who puts them there adds them to out->len. NULL: no memory. */
static char *room(struct writer *writer, size_t len)
{
    struct bytes *out = writer->out;
    if (out->cap - out->len < len && bytes_try_reserve(out, len) < 0) {
        fail_memory(writer);
        return NULL;
    }
    return out->data + out->len;
}

static bool write_text(struct writer *writer, const char *text, size_t len)
{
    char *to = room(writer, len);
    if (!to)
        return false;
    memcpy(to, text, len);
    writer->out->len += len;
    return true;
}

#define write_literal(writer, text) write_text(writer, text, sizeof(text) - 1)

/* A string in quotes; `what` is the error when it is not UTF-8. */
static bool write_string(struct writer *writer, const char *text, size_t len,
                         const struct place *place, const char *what)
{
    int err = quote_json(writer->out, text, len);
    if (err == 0)
        return true;
    return err == -EILSEQ ? json_write_fail(writer, place, what) : fail_memory(writer);
}

/* ---- numbers ---- */

static bool write_integer(struct writer *writer, lua_Integer number)
{
    char digits[24];
    char *at = digits + sizeof digits;
    /* In unsigned: the smallest integer has no counterpart in lua_Integer. */
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0)
        *--at = '-';
    return write_text(writer, at, (size_t)(digits + sizeof digits - at));
}

/* The shortest text that reads back as the same float; yyjson knows how. 1.0 stays "1.0": still a
 * float. */
static bool write_float(struct writer *writer, double number, const struct place *place)
{
    if (isnan(number) || isinf(number))
        return json_write_fail(writer, place,
                               "cannot encode nan or an infinite number (JSON has none)");
    char pool[512]; /* yyjson asks for about 100 bytes of it */
    yyjson_alc alc;
    yyjson_mut_val value = {0};
    size_t len = 0;
    yyjson_alc_pool_init(&alc, pool, sizeof pool);
    yyjson_mut_set_real(&value, number);
    char *text = yyjson_mut_val_write_opts(&value, YYJSON_WRITE_NOFLAG, &alc, &len, NULL);
    return text ? write_text(writer, text, len) : fail_memory(writer);
}

/* ---- tables ---- */

static bool write_break(struct writer *writer, int depth)
{
    if (!writer->is_pretty)
        return true;
    size_t len = 1 + (size_t)depth * 2;
    char *to = room(writer, len);
    if (!to)
        return false;
    to[0] = '\n';
    memset(to + 1, ' ', len - 1);
    writer->out->len += len;
    return true;
}

/* What comes before an item: a comma unless it is the first, and its line. */
static bool write_separator(struct writer *writer, bool is_first, int depth)
{
    return (is_first || write_literal(writer, ",")) && write_break(writer, depth);
}

/* "cannot encode key true of a table ..." */
static bool fail_key(struct writer *writer, int key, const struct place *place, const char *why)
{
    char what[100];
    lua_State *L = writer->L;
    /* lua_tostring would change a number key and confuse lua_next. */
    if (lua_type(L, key) == LUA_TSTRING)
        snprintf(what, sizeof what, "cannot encode key \"%.*s\" %s", PLACE_KEY_MAX,
                 lua_tostring(L, key), why);
    else if (lua_isinteger(L, key))
        snprintf(what, sizeof what, "cannot encode key %lld %s", (long long)lua_tointeger(L, key),
                 why);
    else if (lua_type(L, key) == LUA_TNUMBER)
        snprintf(what, sizeof what, "cannot encode key %.14g %s", (double)lua_tonumber(L, key),
                 why);
    else
        snprintf(what, sizeof what, "cannot encode a %s as a key",
                 lua_typename(L, lua_type(L, key)));
    return json_write_fail(writer, place, what);
}

static const char in_an_array[] = "of a table that is also a list";
static const char in_an_object[] = "(the keys of an object are strings)";
static const char after_a_hole[] = "without the keys before it";

/* How many items the table has, its keys being 1..n; or -1 with the error set: they are not. */
static lua_Integer count_items(struct writer *writer, int table, const struct place *place)
{
    lua_State *L = writer->L;
    lua_Integer count = 0, highest = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) < 1) {
            fail_key(writer, -2, place, in_an_array);
            lua_pop(L, 2);
            return -1;
        }
        lua_Integer key = lua_tointeger(L, -2);
        highest = key > highest ? key : highest;
        count++;
    }
    if (highest == count)
        return count;
    lua_pushinteger(L, highest);
    fail_key(writer, -1, place, after_a_hole);
    lua_pop(L, 1);
    return -1;
}

/* The items from `first` on, of an array that does not keep them in order: by index. */
static bool write_items_by_index(struct writer *writer, int table, lua_Integer first,
                                 const struct place *place, int depth)
{
    lua_Integer count = count_items(writer, table, place);
    bool is_ok = count >= 0;
    for (lua_Integer i = first; is_ok && i <= count; i++) {
        struct place item = {.outer = place, .number = i};
        lua_rawgeti(writer->L, table, i);
        is_ok = write_separator(writer, i == 1, depth) &&
                write_value(writer, lua_gettop(writer->L), &item, depth);
        lua_pop(writer->L, 1);
    }
    return is_ok;
}

/* The items of an array. lua_next meets most arrays in order, which checks the keys on the way; the
 * first key and value are on the stack and go. */
static bool write_items(struct writer *writer, int table, const struct place *place, int depth)
{
    lua_State *L = writer->L;
    struct place item = {.outer = place, .number = 1};
    do {
        if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) != item.number) {
            lua_pop(L, 2);
            return write_items_by_index(writer, table, item.number, place, depth);
        }
        if (!write_separator(writer, item.number == 1, depth) ||
            !write_value(writer, lua_gettop(L), &item, depth)) {
            lua_pop(L, 2);
            return false;
        }
        lua_pop(L, 1);
        item.number++;
    } while (lua_next(L, table));
    return true;
}

/* "key":value, both on top of the stack. */
static bool write_member(struct writer *writer, const struct place *place, bool is_first, int depth)
{
    lua_State *L = writer->L;
    if (lua_type(L, -2) != LUA_TSTRING)
        return fail_key(writer, -2, place, in_an_object);
    struct place member = {.outer = place};
    member.key = lua_tolstring(L, -2, &member.key_len);
    return write_separator(writer, is_first, depth) &&
           write_string(writer, member.key, member.key_len, place,
                        "cannot encode a key that is not UTF-8") &&
           (writer->is_pretty ? write_literal(writer, ": ") : write_literal(writer, ":")) &&
           write_value(writer, lua_gettop(L), &member, depth);
}

/* The members of an object; the first key and value are on the stack and go. */
static bool write_members(struct writer *writer, int table, const struct place *place, int depth)
{
    lua_State *L = writer->L;
    bool is_first = true;
    do {
        if (!write_member(writer, place, is_first, depth)) {
            lua_pop(L, 2);
            return false;
        }
        lua_pop(L, 1);
        is_first = false;
    } while (lua_next(L, table));
    return true;
}

static bool is_marked_array(struct writer *writer, int table)
{
    if (!lua_getmetatable(writer->L, table))
        return false;
    bool is_marked = lua_rawequal(writer->L, -1, writer->array_marker);
    lua_pop(writer->L, 1);
    return is_marked;
}

static bool write_table(struct writer *writer, int table, const struct place *place, int depth)
{
    lua_State *L = writer->L;
    if (depth >= JSON_MAX_DEPTH)
        return json_write_fail(writer, place,
                               "cannot encode tables nested deeper than 128 levels (does one "
                               "contain "
                               "itself?)");
    if (!lua_checkstack(L, 4)) /* key, value, and what the helpers push */
        return fail_memory(writer);

    bool is_marked = is_marked_array(writer, table);
    lua_pushnil(L);
    if (!lua_next(L, table))
        return is_marked ? write_literal(writer, "[]") : write_literal(writer, "{}");
    if (is_marked || lua_isinteger(L, -2))
        return write_literal(writer, "[") && write_items(writer, table, place, depth + 1) &&
               write_break(writer, depth) && write_literal(writer, "]");
    return write_literal(writer, "{") && write_members(writer, table, place, depth + 1) &&
           write_break(writer, depth) && write_literal(writer, "}");
}

/* ---- values ---- */

static bool write_other(struct writer *writer, int index, const struct place *place)
{
    char what[64];
    if (lua_rawequal(writer->L, index, writer->null))
        return write_literal(writer, "null");
    snprintf(what, sizeof what, "cannot encode a %s",
             lua_typename(writer->L, lua_type(writer->L, index)));
    return json_write_fail(writer, place, what);
}

static bool write_value(struct writer *writer, int index, const struct place *place, int depth)
{
    lua_State *L = writer->L;
    size_t len;
    const char *text;
    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &len);
        return write_string(writer, text, len, place, "cannot encode a string that is not UTF-8");
    case LUA_TNUMBER:
        return lua_isinteger(L, index) ? write_integer(writer, lua_tointeger(L, index))
                                       : write_float(writer, lua_tonumber(L, index), place);
    case LUA_TBOOLEAN:
        return lua_toboolean(L, index) ? write_literal(writer, "true")
                                       : write_literal(writer, "false");
    case LUA_TNIL: return write_literal(writer, "null");
    case LUA_TTABLE: return write_table(writer, index, place, depth);
    default: return write_other(writer, index, place);
    }
}

int json_write(lua_State *L, int index, bool is_pretty, struct bytes *out, struct json_error *error)
{
    struct writer writer = {.L = L, .out = out, .is_pretty = is_pretty, .error = error};
    struct place top = {0};
    int before = lua_gettop(L);
    index = lua_absindex(L, index);
    if (!lua_checkstack(L, 4)) {
        fail_memory(&writer);
        return -1;
    }
    json_push_null(L);
    json_push_array_metatable(L);
    writer.null = before + 1;
    writer.array_marker = before + 2;
    bool is_ok = write_value(&writer, index, &top, 0);
    lua_settop(L, before);
    return is_ok ? 0 : -1;
}
