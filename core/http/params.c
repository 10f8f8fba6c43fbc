/* Walks over the parameters of a header's value, in time linear in its length. */
#include "http/params.h"

#include "base/text.h"

#include <errno.h>
#include <string.h>

static bool params_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static const char *params_skip_blanks(const char *at, const char *end)
{
    while (at < end && params_is_blank(*at))
        at++;
    return at;
}

void params_init(struct params *params, const char *text, size_t len, const char **word,
                 size_t *word_len)
{
    params->end = text + len;
    *word = params_skip_blanks(text, params->end);
    const char *stop = memchr(*word, ';', (size_t)(params->end - *word));
    if (!stop)
        stop = params->end;
    params->at = stop;
    while (stop > *word && params_is_blank(stop[-1]))
        stop--;
    *word_len = (size_t)(stop - *word);
}

/* `at` is behind the opening quote. */
static int quoted_next(struct params *params, struct param *param, const char *at)
{
    param->is_quoted = true;
    param->value = at;
    while (at < params->end && *at != '"') {
        bool is_escape = *at == '\\' && at + 1 < params->end && (at[1] == '"' || at[1] == '\\');
        at += is_escape ? 2 : 1;
    }
    if (at == params->end)
        return -EINVAL;
    param->value_len = (size_t)(at - param->value);
    params->at = at + 1;
    return 1;
}

static int value_next(struct params *params, struct param *param, const char *at)
{
    if (at < params->end && *at == '"')
        return quoted_next(params, param, at + 1);
    param->is_quoted = false;
    param->value = at;
    while (at < params->end && *at != ';' && !params_is_blank(*at))
        at++;
    param->value_len = (size_t)(at - param->value);
    params->at = at;
    return text_is_token(param->value, param->value_len) ? 1 : -EINVAL;
}

int params_next(struct params *params, struct param *param)
{
    const char *at = params_skip_blanks(params->at, params->end);
    if (at < params->end && *at != ';')
        return -EINVAL; /* something behind a value */
    while (at < params->end && (*at == ';' || params_is_blank(*at)))
        at++;
    params->at = at;
    if (at == params->end)
        return 0;

    const char *equals = memchr(at, '=', (size_t)(params->end - at));
    if (!equals || !text_is_token(at, (size_t)(equals - at)))
        return -EINVAL;
    param->name = at;
    param->name_len = (size_t)(equals - at);
    return value_next(params, param, equals + 1);
}
