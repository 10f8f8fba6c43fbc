/* How one event of the log is written: for people (pretty) or for programs (JSON lines). Nothing a
 * client sent may start a new line or reach the terminal as a control character: everything goes
 * through an escape here. */
#include "base/log_format.h"

#include "base/utf8.h"

#include <string.h>

#define LOG_TEXT_MAX \
    (32 * 1024) /* longer texts and fields are cut, so that one event cannot fill the queue */
#define LOG_FIELDS_MAX 32

struct level_look {
    const char *name;
    const char *padded; /* as wide as the widest */
    const char *colour;
};

static const struct level_look looks[] = {
    [LOG_DEBUG] = {"debug", "debug", "\033[2m"},
    [LOG_INFO] = {"info", "info ", "\033[32m"},
    [LOG_WARN] = {"warn", "warn ", "\033[33m"},
    [LOG_ERROR] = {"error", "error", "\033[31m"},
};

#define COLOUR_DIM "\033[2m"
#define COLOUR_OFF "\033[0m"

static size_t cut_len(size_t len)
{
    return len > LOG_TEXT_MAX ? LOG_TEXT_MAX : len;
}

static bool is_control(unsigned char byte)
{
    return byte < 0x20 || byte == 0x7f;
}

/* U+0080..U+009F: terminals take them for control characters too (U+009B starts an escape
 * sequence). */
static bool is_c1_control(const char *text, size_t len)
{
    return len == 2 && (unsigned char)text[0] == 0xC2 && (unsigned char)text[1] < 0xA0;
}

/* ---- JSON ---- */

static void json_escape_char(struct bytes *out, unsigned char byte)
{
    switch (byte) {
    case '"': bytes_append(out, "\\\"", 2); break;
    case '\\': bytes_append(out, "\\\\", 2); break;
    case '\n': bytes_append(out, "\\n", 2); break;
    case '\r': bytes_append(out, "\\r", 2); break;
    case '\t': bytes_append(out, "\\t", 2); break;
    default: bytes_printf(out, "\\u%04x", byte);
    }
}

/* A JSON string. What is not UTF-8 becomes U+FFFD: a log line must be readable whatever a client
 * sent. */
static void json_string(struct bytes *out, const char *text, size_t len)
{
    size_t end = cut_len(len);
    bytes_append(out, "\"", 1);
    for (size_t at = 0; at < end;) {
        size_t step = utf8_char(text + at, end - at);
        unsigned char byte = (unsigned char)text[at];
        if (step == 0)
            bytes_append(out, "\\ufffd", 6);
        else if (step == 1 && (is_control(byte) || byte == '"' || byte == '\\'))
            json_escape_char(out, byte);
        else if (is_c1_control(text + at, step))
            bytes_printf(out, "\\u%04x", (unsigned char)text[at + 1]);
        else
            bytes_append(out, text + at, step);
        at += step ? step : 1;
    }
    if (end < len)
        bytes_printf(out, "... (%zu bytes)", len);
    bytes_append(out, "\"", 1);
}

/* Raw values come from our own JSON encoder; one that is too long or would break the line is shown
 * as a string. */
static bool is_usable_raw(const struct log_field *field)
{
    if (!field->raw || field->len == 0 || field->len > LOG_TEXT_MAX)
        return false;
    for (size_t i = 0; i < field->len; i++)
        if ((unsigned char)field->text[i] < 0x20)
            return false;
    return true;
}

static bool is_reserved_name(const char *name)
{
    return strcmp(name, "time") == 0 || strcmp(name, "level") == 0 || strcmp(name, "msg") == 0;
}

static void json_field(struct bytes *out, const struct log_field *field)
{
    bytes_append(out, ",", 1);
    json_string(out, field->name, strlen(field->name));
    /* A key twice would hide one of them: "time" becomes "time_". */
    if (is_reserved_name(field->name)) {
        out->len--;
        bytes_append(out, "_\"", 2);
    }
    bytes_append(out, ":", 1);
    if (is_usable_raw(field))
        bytes_append(out, field->text, field->len);
    else
        json_string(out, field->text, field->len);
}

static void format_json(struct bytes *out, const struct log_event *event)
{
    struct tm utc;
    gmtime_r(&event->time.tv_sec, &utc);
    bytes_printf(out,
                 "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ\",\"level\":\"%s\",\"msg\":",
                 utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                 utc.tm_sec, event->time.tv_nsec / 1000000, looks[event->level].name);
    json_string(out, event->text, event->len);
    for (int i = 0; i < event->count; i++)
        json_field(out, &event->fields[i]);
    bytes_append(out, "}\n", 2);
}

/* ---- pretty ---- */

static void pretty_escape_char(struct bytes *out, unsigned char byte)
{
    switch (byte) {
    case '\n': bytes_append(out, "\\n", 2); break;
    case '\r': bytes_append(out, "\\r", 2); break;
    case '\t': bytes_append(out, "\\t", 2); break;
    default: bytes_printf(out, "\\x%02x", byte);
    }
}

/* Text on a terminal. With `indent`, newlines stay and what follows them is indented, so that no
 * part of a text can look like a line of its own; a tab (tracebacks have them) is part of the
 * indent. */
static void pretty_text(struct bytes *out, const char *text, size_t len, const char *indent)
{
    size_t end = cut_len(len);
    for (size_t at = 0; at < end;) {
        size_t step = utf8_char(text + at, end - at);
        unsigned char byte = (unsigned char)text[at];
        if (indent && byte == '\n')
            bytes_printf(out, "\n%s", indent);
        else if (indent && byte == '\t')
            bytes_append(out, "  ", 2);
        else if (step == 0 || (step == 1 && is_control(byte)))
            pretty_escape_char(out, byte);
        else if (is_c1_control(text + at, step))
            bytes_printf(out, "\\u%04x", (unsigned char)text[at + 1]);
        else
            bytes_append(out, text + at, step);
        at += step ? step : 1;
    }
    if (end < len)
        bytes_printf(out, "... (%zu bytes)", len);
}

/* A field value that could be misread (`a=b c`, an empty one) stands in quotes. */
static bool needs_quotes(const struct log_field *field)
{
    for (size_t i = 0; i < field->len; i++)
        if (field->text[i] == ' ' || field->text[i] == '"' || field->text[i] == '=')
            return true;
    return field->len == 0;
}

static void pretty_field(struct bytes *out, const struct log_style *style,
                         const struct log_field *field)
{
    const char *quote = !is_usable_raw(field) && needs_quotes(field) ? "\"" : "";
    bytes_append_text(out, style->has_colours ? " " COLOUR_DIM : " ");
    pretty_text(out, field->name, strlen(field->name), NULL);
    bytes_append_text(out, style->has_colours ? "=" COLOUR_OFF : "=");
    bytes_append_text(out, quote);
    pretty_text(out, field->text, field->len, NULL);
    bytes_append_text(out, quote);
}

static bool is_block(const struct log_field *field)
{
    return memchr(field->text, '\n', field->len) != NULL;
}

/* A value of several lines, such as a traceback, goes below the line. */
static void pretty_block(struct bytes *out, const struct log_field *field)
{
    bytes_append_text(out, "\n    ");
    if (strcmp(field->name, "traceback") != 0) {
        pretty_text(out, field->name, strlen(field->name), NULL);
        bytes_append_text(out, ": ");
    }
    pretty_text(out, field->text, field->len, "    ");
}

static void format_pretty(struct bytes *out, const struct log_style *style,
                          const struct log_event *event)
{
    const struct level_look *look = &looks[event->level];
    struct tm local;
    localtime_r(&event->time.tv_sec, &local);
    bytes_printf(out, "%02d:%02d:%02d ", local.tm_hour, local.tm_min, local.tm_sec);
    if (style->has_colours)
        bytes_printf(out, "%s%s" COLOUR_OFF " ", look->colour, look->padded);
    else
        bytes_printf(out, "%s ", look->padded);
    pretty_text(out, event->text, event->len, "    ");

    for (int i = 0; i < event->count; i++)
        if (!is_block(&event->fields[i]))
            pretty_field(out, style, &event->fields[i]);
    for (int i = 0; i < event->count; i++)
        if (is_block(&event->fields[i]))
            pretty_block(out, &event->fields[i]);
    bytes_append(out, "\n", 1);
}

void log_format(struct bytes *out, const struct log_style *style, const struct log_event *event)
{
    struct log_event bounded = *event;
    if (bounded.count > LOG_FIELDS_MAX)
        bounded.count = LOG_FIELDS_MAX;
    if (style->is_json)
        format_json(out, &bounded);
    else
        format_pretty(out, style, &bounded);
}
