/* Content-Disposition: quoted strings with backslashes or with %22 (browsers), and RFC 8187
 * (filename*). */
#include "http/disposition.h"

#include "base/text.h"
#include "base/utf8.h"
#include "http/params.h"
#include "http/uri.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>

/* Browsers write exactly these three as escapes, whatever else follows a "%". */
static char browser_escape(const char *text, size_t len)
{
    if (len < 3 || text[0] != '%')
        return '\0';
    if (text[1] == '2' && text[2] == '2')
        return '"';
    if (text[1] == '0' && (text[2] == 'D' || text[2] == 'd'))
        return '\r';
    return text[1] == '0' && (text[2] == 'A' || text[2] == 'a') ? '\n' : '\0';
}

/* Decodes the inside of a quoted string to `out`. Returns the length. */
static size_t quoted_decode(char *out, const char *text, size_t len)
{
    char *to = out;
    for (size_t i = 0; i < len; i++) {
        char escape = browser_escape(text + i, len - i);
        bool is_backslashed =
            text[i] == '\\' && i + 1 < len && (text[i + 1] == '"' || text[i + 1] == '\\');
        if (escape) {
            *to++ = escape;
            i += 2;
        } else {
            i += is_backslashed;
            *to++ = text[i];
        }
    }
    return (size_t)(to - out);
}

/* Decodes UTF-8'language'percent-encoded. The length, 0 for another charset (to be ignored), or
 * -EINVAL. */
static ssize_t extended_decode(char *out, const struct param *param)
{
    const char *end = param->value + param->value_len;
    const char *charset = memchr(param->value, '\'', param->value_len);
    const char *language = charset ? memchr(charset + 1, '\'', (size_t)(end - charset - 1)) : NULL;
    if (param->is_quoted || !language)
        return -EINVAL;
    if (!text_equal_nocase(param->value, (size_t)(charset - param->value), "utf-8", 5))
        return 0;
    ssize_t len = uri_decode(out, language + 1, (size_t)(end - language - 1), false);
    if (len < 0 || !utf8_is_valid(out, (size_t)len) || memchr(out, '\0', (size_t)len))
        return -EINVAL;
    return len;
}

/* What is known of one name while the parameters are read. */
struct name_slot {
    bool is_given;
    const char *text;
    size_t len;
};

/* Puts the decoded value at `*buffer`, which moves on. A name may be given once. */
static int slot_set(struct name_slot *slot, const struct param *param, bool is_extended,
                    char **buffer)
{
    ssize_t len = (ssize_t)param->value_len;
    if (slot->is_given)
        return -EINVAL;
    if (is_extended)
        len = extended_decode(*buffer, param);
    else if (param->is_quoted)
        len = (ssize_t)quoted_decode(*buffer, param->value, param->value_len);
    else
        memcpy(*buffer, param->value, param->value_len);
    if (len < 0 || (is_extended && len == 0))
        return (int)len;
    *slot = (struct name_slot){true, *buffer, (size_t)len};
    *buffer += len;
    return 0;
}

static bool is_named(const struct param *param, const char *name)
{
    return text_equal_nocase(param->name, param->name_len, name, strlen(name));
}

int disposition_parse(struct disposition *disposition, const char *text, size_t len, char *buffer)
{
    struct params params;
    struct param param;
    const char *word;
    size_t word_len;
    struct name_slot name = {0};
    struct name_slot filename = {0};
    struct name_slot extended = {0};
    int more;
    params_init(&params, text, len, &word, &word_len);
    if (!text_equal_nocase(word, word_len, "form-data", 9))
        return -EINVAL;
    while ((more = params_next(&params, &param)) > 0) {
        int err = 0;
        if (is_named(&param, "name"))
            err = slot_set(&name, &param, false, &buffer);
        else if (is_named(&param, "filename"))
            err = slot_set(&filename, &param, false, &buffer);
        else if (is_named(&param, "filename*"))
            err = slot_set(&extended, &param, true, &buffer);
        if (err)
            return err;
    }
    if (more < 0 || !name.is_given)
        return -EINVAL;
    if (extended.is_given)
        filename = extended; /* the better one of the two, RFC 6266 */
    *disposition = (struct disposition){
        .name = name.text,
        .name_len = name.len,
        .filename = filename.is_given ? filename.text : NULL,
        .filename_len = filename.len,
    };
    return 0;
}
