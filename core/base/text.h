/* Small things about text that every room needs: comparing without case, reading numbers,
 * durations and sizes strictly, and guessing what a misspelt word was meant to be. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool text_equal_nocase(const char *a, size_t a_len, const char *b, size_t b_len); /* ASCII only */
bool text_is_token(const char *text, size_t len); /* RFC 9110 token: tchar+ */
/* Whether comma list `list` holds `token`, without case and with optional spaces. */
bool text_list_has(const char *list, size_t len, const char *token);

/* These give 0, -EINVAL, or -ERANGE for what no uint64_t can hold. */
int text_parse_uint(const char *text, size_t len, uint64_t *value); /* digits only */
/* "250ms" "10s" "5m" "1h" "1d", or seconds: "1.5". Rounded up to a whole millisecond. */
int text_parse_duration(const char *text, uint64_t *ms);
/* "512" "64KB" "1MB" "2GB" "1TB": powers of 1024, in any case of letters. Rounded up to a whole
 * byte. */
int text_parse_size(const char *text, uint64_t *bytes);

/* The one of `count` words nearest to `word`, or NULL when none is near enough to be meant. */
const char *text_nearest(const char *word, const char *const *words, size_t count);

#endif
