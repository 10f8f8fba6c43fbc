/* How one event of the log is written as text. Only log.c uses this. */
#ifndef BASE_LOG_FORMAT_H
#define BASE_LOG_FORMAT_H

#include "base/bytes.h"
#include "base/log.h"

#include <time.h>

struct log_style {
    bool is_json;
    bool has_colours;
};

struct log_event {
    enum log_level level;
    struct timespec time; /* wall clock */
    const char *text;
    size_t len;
    const struct log_field *fields;
    int count;
};

/* Appends the event and its newline. A line begins with a digit, `{` or ESC; lines that continue it
 * begin with a space: that is how log.c counts events in what it could not write. */
void log_format(struct bytes *out, const struct log_style *style, const struct log_event *event);

#endif
