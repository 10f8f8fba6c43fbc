/* The parameters of a header's value: "form-data; name=x; filename=\"y z\"". Walks over them where
 * they stand. */
#ifndef HTTP_PARAMS_H
#define HTTP_PARAMS_H

#include <stdbool.h>
#include <stddef.h>

struct params {
    const char *at;
    const char *end;
};

struct param {
    const char *name; /* as sent: compare without case */
    size_t name_len;
    const char *value; /* as sent; of a quoted string what is between the quotes, escapes and all */
    size_t value_len;
    bool is_quoted;
};

/* Begins, and gives what stands before the first ";" ("form-data"). */
void params_init(struct params *params, const char *text, size_t len, const char **word,
                 size_t *word_len);
/* 1, 0 at the end, -EINVAL. Browsers send a lone backslash as it is, so only \" and \\ are
 * escapes. */
int params_next(struct params *params, struct param *param);

#endif
