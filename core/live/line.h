/* The line of feeds that wait to be served one by one. Leaving it anywhere is cheap: the place
 * stays empty. Belongs to its outlet. */
#ifndef LIVE_LINE_H
#define LIVE_LINE_H

#include "live/feed.h"

struct line {
    struct feed **feeds; /* NULL: has left */
    uint32_t first;      /* index of the front */
    uint32_t end;        /* index behind the last */
    uint32_t cap;
    uint32_t count; /* of feeds in it */
};

void line_init(struct line *line);
void line_deinit(struct line *line);
void line_push(struct line *line, struct feed *feed);  /* no effect when it is in it */
void line_leave(struct line *line, struct feed *feed); /* no effect when it is not */
struct feed *line_shift(struct line *line);            /* NULL: empty */

#endif
