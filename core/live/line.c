/* The line: an array that is moved to its beginning when its end is reached. */
#include "live/line.h"

#include "base/alloc.h"

#define LINE_FIRST 16

void line_init(struct line *line)
{
    *line = (struct line){0};
}

void line_deinit(struct line *line)
{
    mem_free(line->feeds);
    line_init(line);
}

/* Closes the gaps; doubles the array when that does not free half of it. */
static void make_room(struct line *line)
{
    uint32_t end = 0;
    for (uint32_t i = line->first; i < line->end; i++) {
        if (line->feeds[i] == NULL)
            continue;
        line->feeds[end++] = line->feeds[i];
        line->feeds[i]->queued = end;
    }
    line->first = 0;
    line->end = end;
    if (end < line->cap / 2)
        return;
    line->cap = line->cap ? line->cap * 2 : LINE_FIRST;
    line->feeds = mem_realloc(line->feeds, line->cap * sizeof(struct feed *));
}

void line_push(struct line *line, struct feed *feed)
{
    if (feed->queued)
        return;
    if (line->end == line->cap)
        make_room(line);
    line->feeds[line->end++] = feed;
    feed->queued = line->end; /* its index + 1 */
    line->count++;
}

void line_leave(struct line *line, struct feed *feed)
{
    if (feed->queued == 0)
        return;
    line->feeds[feed->queued - 1] = NULL;
    feed->queued = 0;
    if (--line->count == 0)
        line->first = line->end = 0;
}

struct feed *line_shift(struct line *line)
{
    while (line->first < line->end) {
        struct feed *feed = line->feeds[line->first++];
        if (feed) {
            line_leave(line, feed);
            return feed;
        }
    }
    return NULL;
}
