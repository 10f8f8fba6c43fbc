/* The line: an array that is moved to its beginning when its end is reached. */
#include "live/line.h"

#include "base/mem.h"

#define LINE_FIRST 16

void line_init(struct line *line)
{
    *line = (struct line){0};
}

void line_deinit(struct line *line)
{
    mem_free(line->places);
    line_init(line);
}

/* Closes the gaps; doubles the array when that does not free half of it. */
static void make_room(struct line *line)
{
    uint32_t end = 0;
    for (uint32_t i = line->first; i < line->end; i++) {
        if (line->places[i] == NULL)
            continue;
        line->places[end++] = line->places[i];
        line->places[i]->number = end;
    }
    line->first = 0;
    line->end = end;
    if (end < line->cap / 2)
        return;
    line->cap = line->cap ? line->cap * 2 : LINE_FIRST;
    line->places = mem_realloc(line->places, line->cap * sizeof(struct line_place *));
}

void line_push(struct line *line, struct line_place *place)
{
    if (place->number)
        return;
    if (line->end == line->cap)
        make_room(line);
    line->places[line->end++] = place;
    place->number = line->end; /* its index + 1 */
    line->count++;
}

void line_leave(struct line *line, struct line_place *place)
{
    if (place->number == 0)
        return;
    line->places[place->number - 1] = NULL;
    place->number = 0;
    if (--line->count == 0)
        line->first = line->end = 0;
}

struct line_place *line_shift(struct line *line)
{
    while (line->first < line->end) {
        struct line_place *place = line->places[line->first++];
        if (place) {
            line_leave(line, place);
            return place;
        }
    }
    return NULL;
}
