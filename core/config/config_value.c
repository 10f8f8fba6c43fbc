/* One setting: finding it by name, reading its value from text, showing it again. */
#include "config/config.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdarg.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

int config_refuse(struct bytes *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bytes_vprintf(error, format, args);
    va_end(args);
    return -1;
}

const struct config_key *config_find(const char *name)
{
    for (size_t i = 0; i < config_key_count; i++)
        if (strcmp(config_keys[i].name, name) == 0)
            return &config_keys[i];
    return NULL;
}

void config_suggest(const char *name, struct bytes *text)
{
    const char *names[64];
    size_t count = config_key_count < COUNT_OF(names) ? config_key_count : COUNT_OF(names);
    for (size_t i = 0; i < count; i++)
        names[i] = config_keys[i].name;
    const char *nearest = text_nearest(name, names, count);
    if (nearest)
        bytes_printf(text, ": did you mean %s?", nearest);
    else
        bytes_append_text(text, "; `neap config` lists them all");
}

void config_list_clear(struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        mem_free(list->items[i]);
    mem_free(list->items);
    *list = (struct config_list){0};
}

static void list_add(struct config_list *list, const char *text, size_t len)
{
    list->items = mem_realloc(list->items, (list->count + 1) * sizeof *list->items);
    list->items[list->count++] = mem_strndup(text, len);
}

/* Splits "a, b" at commas. */
static void list_split(struct config_list *list, const char *text)
{
    while (*text) {
        text += strspn(text, " ,");
        size_t len = strcspn(text, ",");
        size_t end = len;
        while (end > 0 && text[end - 1] == ' ')
            end--;
        if (end > 0)
            list_add(list, text, end);
        text += len;
    }
}

static int parse_bool(const char *text, bool *value)
{
    static const char *const yes[] = {"true", "on", "yes", "1"};
    static const char *const no[] = {"false", "off", "no", "0"};
    for (size_t i = 0; i < COUNT_OF(yes); i++) {
        if (strcmp(text, yes[i]) != 0 && strcmp(text, no[i]) != 0)
            continue;
        *value = strcmp(text, yes[i]) == 0;
        return 0;
    }
    return -1;
}

static int parse_choice(const struct config_key *key, const char *text, uint64_t *value)
{
    for (uint64_t i = 0; key->choices[i]; i++) {
        if (strcmp(key->choices[i], text) == 0) {
            *value = i;
            return 0;
        }
    }
    return -1;
}

static const char *expected(enum config_type type)
{
    switch (type) {
    case CONFIG_COUNT: return "a whole number";
    case CONFIG_SIZE: return "a size in bytes, or like 64KB or 1MB";
    case CONFIG_DURATION: return "a time in seconds, or like 250ms, 10s or 5m";
    case CONFIG_BOOL: return "true or false";
    default: return "a text";
    }
}

static int parse_number(const struct config_key *key, const char *text, uint64_t *number)
{
    switch (key->type) {
    case CONFIG_COUNT: return text_parse_uint(text, strlen(text), number);
    case CONFIG_SIZE: return text_parse_size(text, number);
    case CONFIG_DURATION: return text_parse_duration(text, number);
    default: return parse_choice(key, text, number);
    }
}

static int set_number(const struct config_key *key, uint64_t *slot, const char *text,
                      const char *where, struct bytes *error)
{
    uint64_t number;
    if (parse_number(key, text, &number))
        return config_refuse(error, "%s: %s cannot be \"%s\": expected %s", where, key->name, text,
                             key->choices ? key->doc : expected(key->type));
    if (number < key->min || (key->max && number > key->max)) {
        const char *unit = key->type == CONFIG_DURATION ? " ms" : "";
        return config_refuse(error, "%s: %s cannot be %s: it must be between %llu%s and %llu%s",
                             where, key->name, text, (unsigned long long)key->min, unit,
                             (unsigned long long)key->max, unit);
    }
    *slot = number;
    return 0;
}

static void set_list(struct config_list *list, int index, const char *text)
{
    if (index <= 1)
        config_list_clear(list);
    if (index == 0)
        list_split(list, text);
    else
        list_add(list, text, strlen(text));
}

static void config_value_set_text(char **slot, const char *text)
{
    mem_free(*slot);
    *slot = mem_strdup(text);
}

static void set_source(struct config *config, const struct config_key *key, const char *where)
{
    char **slot = &config->sources[key - config_keys];
    mem_free(*slot);
    *slot = mem_strdup(where);
}

int config_set(struct config *config, const char *name, int index, const char *value,
               const char *where, struct bytes *error)
{
    const struct config_key *key = config_find(name);
    if (!key) {
        bytes_printf(error, "%s: unknown setting %s", where, name);
        config_suggest(name, error);
        return -1;
    }
    void *slot = (char *)config + key->offset;
    bool is_list = key->type == CONFIG_LIST || key->type == CONFIG_SECRETS;
    if (index > 0 && !is_list)
        return config_refuse(error, "%s: %s takes one value, not a list", where, name);

    if (is_list)
        set_list(slot, index, value);
    else if (key->type == CONFIG_TEXT)
        config_value_set_text(slot, value);
    else if (key->type != CONFIG_BOOL) {
        if (set_number(key, slot, value, where, error))
            return -1;
    } else if (parse_bool(value, slot))
        return config_refuse(error, "%s: %s cannot be \"%s\": expected true or false", where, name,
                             value);
    set_source(config, key, where);
    return 0;
}

void config_copy_value(struct config *to, const struct config *from, const struct config_key *key)
{
    void *slot = (char *)to + key->offset;
    const void *value = config_at(from, key);
    if (key->type == CONFIG_LIST || key->type == CONFIG_SECRETS) {
        const struct config_list *list = value;
        config_list_clear(slot);
        for (size_t i = 0; i < list->count; i++)
            list_add(slot, list->items[i], strlen(list->items[i]));
    } else if (key->type == CONFIG_TEXT) {
        config_value_set_text(slot, *(char *const *)value);
    } else if (key->type == CONFIG_BOOL) {
        *(bool *)slot = *(const bool *)value;
    } else {
        *(uint64_t *)slot = *(const uint64_t *)value;
    }
    set_source(to, key, from->sources[key - config_keys]);
}

static void show_number(const struct config_key *key, uint64_t number, struct bytes *text)
{
    static const char *const units[] = {"", "KB", "MB", "GB"};
    unsigned unit = 0;
    if (key->type == CONFIG_CHOICE) {
        bytes_append_text(text, key->choices[number]);
    } else if (key->type == CONFIG_DURATION) {
        bytes_printf(text, number % 1000 ? "%llums" : "%llus",
                     (unsigned long long)(number % 1000 ? number : number / 1000));
    } else {
        while (key->type == CONFIG_SIZE && unit < 3 && number >= 1024 && number % 1024 == 0) {
            number /= 1024;
            unit++;
        }
        bytes_printf(text, "%llu%s", (unsigned long long)number, units[unit]);
    }
}

void config_show_value(const struct config *config, const struct config_key *key,
                       struct bytes *text)
{
    const void *slot = config_at(config, key);
    if (key->type == CONFIG_BOOL) {
        bytes_append_text(text, *(const bool *)slot ? "true" : "false");
    } else if (key->type == CONFIG_TEXT) {
        bytes_append_text(text, *(char *const *)slot);
    } else if (key->type == CONFIG_SECRETS) {
        size_t count = ((const struct config_list *)slot)->count;
        if (count > 0)
            bytes_printf(text, "(%zu, not shown)", count);
        else
            bytes_append_text(text, "none");
    } else if (key->type == CONFIG_LIST) {
        const struct config_list *list = slot;
        for (size_t i = 0; i < list->count; i++)
            bytes_printf(text, "%s%s", i ? ", " : "", list->items[i]);
        if (list->count == 0)
            bytes_append_text(text, "none");
    } else {
        show_number(key, *(const uint64_t *)slot, text);
    }
}
