/* The client's offers of permessage-deflate: "permessage-deflate; client_max_window_bits, ...",
 * read where they stand, in one pass. See ws_deflate.h. */
#include "base/text.h"
#include "http/request.h"
#include "ws/ws_deflate.h"

#include <string.h>

struct scan {
    const char *at;
    const char *end;
};

struct word {
    const char *text;
    size_t len;
};

/* An offer as far as it was read. */
struct offer {
    int window_bits; /* server_max_window_bits, 0: not there */
    unsigned seen;   /* parameters, one bit each: none may come twice */
};

static void ws_offer_skip_blanks(struct scan *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t'))
        scan->at++;
}

/* Whether `c` is next; then it is taken. */
static bool ws_offer_take(struct scan *scan, char c)
{
    ws_offer_skip_blanks(scan);
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

static bool take_token(struct scan *scan, struct word *word)
{
    ws_offer_skip_blanks(scan);
    word->text = scan->at;
    while (scan->at < scan->end && text_is_token(scan->at, 1))
        scan->at++;
    word->len = (size_t)(scan->at - word->text);
    return word->len > 0;
}

/* A token, in quotes or not. */
static bool take_value(struct scan *scan, struct word *word)
{
    if (!ws_offer_take(scan, '"'))
        return take_token(scan, word);
    word->text = scan->at;
    const char *close = memchr(scan->at, '"', (size_t)(scan->end - scan->at));
    if (!close)
        return false;
    word->len = (size_t)(close - word->text);
    scan->at = close + 1;
    return text_is_token(word->text, word->len);
}

static bool is_word(const struct word *word, const char *text)
{
    return text_equal_nocase(word->text, word->len, text, strlen(text));
}

/* 8 to 15 without a leading zero; 0: anything else. */
static int window_bits(const struct word *word)
{
    static const char *const sizes[] = {"8", "9", "10", "11", "12", "13", "14", "15"};
    for (int i = 0; i < 8; i++)
        if (is_word(word, sizes[i]))
            return 8 + i;
    return 0;
}

/* Whether we can live with this parameter. `value` is NULL when it has none. */
static bool accept_param(struct offer *offer, const struct word *name, const struct word *value)
{
    static const char *const names[] = {"server_no_context_takeover", "client_no_context_takeover",
                                        "server_max_window_bits", "client_max_window_bits"};
    unsigned which = 0;
    while (which < 4 && !is_word(name, names[which]))
        which++;
    if (which == 4 || (offer->seen & 1u << which))
        return false;
    offer->seen |= 1u << which;

    if (which < 2)
        return !value;
    int bits = value ? window_bits(value) : 0;
    if (which == 3)
        return !value || bits > 0; /* it may use what it likes, we can read it all */
    offer->window_bits = bits;
    return bits >= WS_WINDOW_BITS_MIN;
}

/* One offer, up to the comma behind it. True: permessage-deflate, in a form that we take. */
static bool take_offer(struct scan *scan, struct offer *offer)
{
    struct word name;
    *offer = (struct offer){0};
    bool is_good = take_token(scan, &name) && is_word(&name, "permessage-deflate");
    while (ws_offer_take(scan, ';')) {
        struct word value;
        if (!take_token(scan, &name))
            return false;
        bool has_value = ws_offer_take(scan, '=');
        if (has_value && !take_value(scan, &value))
            return false;
        is_good = is_good && accept_param(offer, &name, has_value ? &value : NULL);
    }
    ws_offer_skip_blanks(scan);
    return is_good && (scan->at == scan->end || *scan->at == ',');
}

/* Behind the next comma, which may also be what a malformed offer stumbled over. */
static void next_offer(struct scan *scan)
{
    bool is_quoted = false;
    while (scan->at < scan->end) {
        char c = *scan->at++;
        if (c == ',' && !is_quoted)
            return;
        is_quoted = is_quoted != (c == '"');
    }
}

bool ws_deflate_is_offered(const struct request *rq, int *window)
{
    const char *value;
    size_t len;
    int at = 0;
    while ((value = request_header_next(rq, &at, "sec-websocket-extensions", 24, &len))) {
        struct scan scan = {value, value + len};
        while (scan.at < scan.end) {
            struct offer offer;
            if (take_offer(&scan, &offer)) {
                *window = offer.window_bits;
                return true;
            }
            next_offer(&scan);
        }
    }
    return false;
}
