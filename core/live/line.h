/* A line of things that wait to be served one by one: feeds, in their outlet. Leaving it anywhere
 * is cheap: the place stays empty. */
#ifndef LIVE_LINE_H
#define LIVE_LINE_H

#include <stdint.h>

/* A member of what waits. */
struct line_place {
    uint32_t number; /* in the line, 0: does not wait */
};

struct line {
    struct line_place **places; /* NULL: has left */
    uint32_t first;             /* index of the front */
    uint32_t end;               /* index behind the last */
    uint32_t cap;
    uint32_t count; /* in it */
};

void line_init(struct line *line);
void line_deinit(struct line *line);
void line_push(struct line *line, struct line_place *place);  /* no effect when it is in it */
void line_leave(struct line *line, struct line_place *place); /* no effect when it is not */
struct line_place *line_shift(struct line *line);             /* NULL: empty */

#endif
