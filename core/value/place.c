/* Where in a Lua value something is, for error messages. */
#include "value/place.h"

#define PLACE_STEPS_MAX 6

static void append_step(struct bytes *text, const struct place *place)
{
    if (!place->key) {
        bytes_printf(text, "[%lld]", (long long)place->number);
        return;
    }
    int shown = place->key_len > PLACE_KEY_MAX ? PLACE_KEY_MAX : (int)place->key_len;
    bytes_printf(text, ".%.*s", shown, place->key);
}

static int count_steps(const struct place *place)
{
    int count = 0;
    for (; place && place->outer; place = place->outer)
        count++;
    return count;
}

void place_append(struct bytes *text, const struct place *place)
{
    const struct place *shown[PLACE_STEPS_MAX];
    int depth = count_steps(place);
    for (int i = depth; i > 0; i--, place = place->outer)
        if (i <= PLACE_STEPS_MAX)
            shown[i - 1] = place;
    for (int i = 0; i < depth && i < PLACE_STEPS_MAX; i++)
        append_step(text, shown[i]);
    if (depth > PLACE_STEPS_MAX)
        bytes_append_text(text, "...");
}
