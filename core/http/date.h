/* Dates as HTTP writes them, whatever the locale: "Sun, 06 Nov 1994 08:49:37 GMT". */
#ifndef HTTP_DATE_H
#define HTTP_DATE_H

#include <stddef.h>
#include <time.h>

#define DATE_LENGTH 29

/* Writes `when` with a NUL at the end. Years before 0 and after 9999 are moved to these ends. */
void date_format(char out[DATE_LENGTH + 1], time_t when);
/* Reads any of the three forms of RFC 9110. 0, or -EINVAL. */
int date_parse(const char *text, size_t len, time_t *when);

/* The text of the current second; all zero is a valid, empty cache. */
struct date_cache {
    time_t second;
    char line[DATE_LENGTH + 1];
};

const char *date_cache_line(struct date_cache *cache, time_t now); /* belongs to the cache */

#endif
