/* Dates as HTTP writes them. The C library's strftime and strptime follow the locale, so these do
 * not use them. */
#include "http/date.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const char *const short_days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", NULL};
static const char *const long_days[] = {"Sunday",   "Monday", "Tuesday",  "Wednesday",
                                        "Thursday", "Friday", "Saturday", NULL};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
                                     "Aug", "Sep", "Oct", "Nov", "Dec", NULL};

#define DAY_SECONDS 86400
#define FIRST_SECOND INT64_C(-62167219200) /* 1 January of year 0 */
#define LAST_SECOND INT64_C(253402300799)  /* the last of year 9999 */

/* ---- writing ---- */

static char *put_digits(char *to, int number, int width)
{
    for (int i = width; i-- > 0; number /= 10)
        to[i] = (char)('0' + number % 10);
    return to + width;
}

static char *date_put_text(char *to, const char *text)
{
    while (*text)
        *to++ = *text++;
    return to;
}

static char *put_clock(char *to, const struct tm *tm)
{
    to = put_digits(to, tm->tm_hour, 2);
    *to++ = ':';
    to = put_digits(to, tm->tm_min, 2);
    *to++ = ':';
    return put_digits(to, tm->tm_sec, 2);
}

void date_format(char out[DATE_LENGTH + 1], time_t when)
{
    struct tm tm;
    char *to = out;
    when = when < FIRST_SECOND ? FIRST_SECOND : when > LAST_SECOND ? LAST_SECOND : when;
    gmtime_r(&when, &tm);
    to = date_put_text(to, short_days[tm.tm_wday]);
    to = date_put_text(to, ", ");
    to = put_digits(to, tm.tm_mday, 2);
    to = date_put_text(to, " ");
    to = date_put_text(to, months[tm.tm_mon]);
    to = date_put_text(to, " ");
    to = put_digits(to, tm.tm_year + 1900, 4);
    to = date_put_text(to, " ");
    to = put_clock(to, &tm);
    to = date_put_text(to, " GMT");
    *to = '\0';
}

const char *date_cache_line(struct date_cache *cache, time_t now)
{
    if (cache->second != now || cache->line[0] == '\0') {
        date_format(cache->line, now);
        cache->second = now;
    }
    return cache->line;
}

/* ---- reading ---- */

struct scanner {
    const char *at;
    const char *end;
    struct tm tm; /* what was found; tm_year is the year itself */
    bool has_century;
};

static bool scan_char(struct scanner *scan, char wanted)
{
    if (scan->at == scan->end || *scan->at != wanted)
        return false;
    scan->at++;
    return true;
}

static bool scan_digits(struct scanner *scan, int width, int *number)
{
    int sum = 0;
    for (int i = 0; i < width; i++, scan->at++) {
        if (scan->at == scan->end || *scan->at < '0' || *scan->at > '9')
            return false;
        sum = sum * 10 + (*scan->at - '0');
    }
    *number = sum;
    return true;
}

static bool scan_name(struct scanner *scan, const char *const *names, int *number)
{
    for (int i = 0; names[i]; i++) {
        size_t len = strlen(names[i]);
        if ((size_t)(scan->end - scan->at) >= len && memcmp(scan->at, names[i], len) == 0) {
            scan->at += len;
            *number = i;
            return true;
        }
    }
    return false;
}

static bool scan_clock(struct scanner *scan)
{
    return scan_digits(scan, 2, &scan->tm.tm_hour) && scan_char(scan, ':') &&
           scan_digits(scan, 2, &scan->tm.tm_min) && scan_char(scan, ':') &&
           scan_digits(scan, 2, &scan->tm.tm_sec);
}

/* One part of a form: w/W day of the week short/long, d day, e day padded with a space, m month,
 * y/Y year of two/four digits, t time. */
static bool scan_part(struct scanner *scan, char part)
{
    switch (part) {
    case 'w': return scan_name(scan, short_days, &scan->tm.tm_wday);
    case 'W': return scan_name(scan, long_days, &scan->tm.tm_wday);
    case 'd': return scan_digits(scan, 2, &scan->tm.tm_mday);
    case 'e': return scan_digits(scan, scan_char(scan, ' ') ? 1 : 2, &scan->tm.tm_mday);
    case 'm': return scan_name(scan, months, &scan->tm.tm_mon);
    case 'y': return scan_digits(scan, 2, &scan->tm.tm_year);
    case 'Y': scan->has_century = true; return scan_digits(scan, 4, &scan->tm.tm_year);
    default: return scan_clock(scan);
    }
}

static bool scan_form(struct scanner *scan, const char *form)
{
    for (; *form; form++) {
        bool is_found = *form == '%' ? scan_part(scan, *++form) : scan_char(scan, *form);
        if (!is_found)
            return false;
    }
    return scan->at == scan->end;
}

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static bool is_possible(const struct tm *tm)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int last = days[tm->tm_mon] + (tm->tm_mon == 1 && is_leap(tm->tm_year));
    return tm->tm_mday >= 1 && tm->tm_mday <= last && tm->tm_hour < 24 && tm->tm_min < 60 &&
           tm->tm_sec <= 60; /* a leap second */
}

/* Days since 1 January 1970, counting years from March, so that the leap day is the last of its
 * year. */
static int64_t days_of(const struct tm *tm)
{
    int64_t month = (tm->tm_mon + 10) % 12;
    int64_t year = tm->tm_year + 400 - (tm->tm_mon < 2); /* 400 more: year 0 has a year before it */
    int64_t day_of_year = (153 * month + 2) / 5 + tm->tm_mday - 1;
    return year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719468 - 146097;
}

static time_t seconds_of(const struct tm *tm)
{
    return (time_t)(days_of(tm) * DAY_SECONDS + tm->tm_hour * 3600 + tm->tm_min * 60 + tm->tm_sec);
}

/* A year of two digits is the one that is at most 50 years ahead (RFC 9110, 5.6.7). */
static int full_year(int year)
{
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    int this_year = tm.tm_year + 1900;
    int full = this_year - this_year % 100 + year;
    return full > this_year + 50 ? full - 100 : full;
}

int date_parse(const char *text, size_t len, time_t *when)
{
    static const char *const forms[] = {
        "%w, %d %m %Y %t GMT", /* IMF-fixdate, the one in use */
        "%W, %d-%m-%y %t GMT", /* RFC 850 */
        "%w %m %e %t %Y",      /* asctime */
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        struct scanner scan = {.at = text, .end = text + len};
        if (!scan_form(&scan, forms[i]))
            continue;
        if (!scan.has_century)
            scan.tm.tm_year = full_year(scan.tm.tm_year);
        if (!is_possible(&scan.tm))
            return -EINVAL;
        *when = seconds_of(&scan.tm);
        return 0;
    }
    return -EINVAL;
}
