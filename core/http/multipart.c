/* multipart/form-data as a state machine. A delimiter has its only CR at its start, so after a
 * mismatch the search goes on where it stands: no byte is looked at twice. */
#include "http/multipart.h"

#include "base/text.h"
#include "http/params.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum state {
    STATE_START,     /* before the first delimiter */
    STATE_DELIMITED, /* behind a delimiter */
    STATE_CR,        /* behind a delimiter and CR */
    STATE_DASH,      /* behind a delimiter and "-" */
    STATE_HEAD,      /* in the headers of a part */
    STATE_DATA,      /* in its content */
    STATE_EPILOGUE,  /* behind the last delimiter */
};

/* The bytes still to be read. */
struct input {
    const char *at;
    const char *end;
};

static size_t input_left(const struct input *in)
{
    return (size_t)(in->end - in->at);
}

/* ---- the boundary ---- */

static bool is_boundary(const char *text, size_t len)
{
    if (len == 0 || len > MULTIPART_MAX_BOUNDARY || text[len - 1] == ' ')
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_alnum && (c == '\0' || !strchr("'()+_,-./:=? ", c)))
            return false;
    }
    return true;
}

const char *multipart_boundary(const char *type, size_t type_len, size_t *len)
{
    struct params params;
    struct param param;
    const char *word;
    size_t word_len;
    const char *boundary = NULL;
    int more;
    params_init(&params, type, type_len, &word, &word_len);
    if (!text_equal_nocase(word, word_len, "multipart/form-data", 19))
        return NULL;
    while ((more = params_next(&params, &param)) > 0) {
        if (!text_equal_nocase(param.name, param.name_len, "boundary", 8))
            continue;
        if (boundary || !is_boundary(param.value, param.value_len))
            return NULL;
        boundary = param.value;
        *len = param.value_len;
    }
    return more < 0 ? NULL : boundary;
}

/* ---- life ---- */

int multipart_init(struct multipart *mp, const char *boundary, size_t len, uint32_t max_parts)
{
    if (!is_boundary(boundary, len))
        return -EINVAL;
    memset(mp, 0, sizeof *mp);
    memcpy(mp->delimiter, "\r\n--", 4);
    memcpy(mp->delimiter + 4, boundary, len);
    mp->delimiter_len = 4 + len;
    mp->matched = 2; /* the first delimiter needs no line break before it */
    mp->parts_left = max_parts;
    bytes_init(&mp->head);
    bytes_init(&mp->names);
    return 0;
}

void multipart_deinit(struct multipart *mp)
{
    bytes_deinit(&mp->head);
    bytes_deinit(&mp->names);
}

/* ---- the headers of a part ---- */

static bool has_header(const struct multipart_part *part, const struct multipart_header *wanted)
{
    for (int i = 0; i < part->header_count; i++)
        if (part->headers[i].name_len == wanted->name_len &&
            memcmp(part->headers[i].name, wanted->name, wanted->name_len) == 0)
            return true;
    return false;
}

static bool multipart_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool has_control(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 ? text[i] != '\t' : text[i] == 0x7f)
            return true;
    return false;
}

/* Splits one line (without its line break) into a header; lowers its name where it stands. */
static int header_parse(struct multipart_header *header, char *line, size_t len)
{
    char *colon = memchr(line, ':', len);
    if (!colon || !text_is_token(line, (size_t)(colon - line)) || has_control(line, len))
        return -EINVAL; /* a folded line too: a blank is no token */
    for (char *c = line; c < colon; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c += 'a' - 'A';
    const char *value = colon + 1;
    const char *end = line + len;
    while (value < end && multipart_is_blank(*value))
        value++;
    while (end > value && multipart_is_blank(end[-1]))
        end--;
    *header = (struct multipart_header){line, (size_t)(colon - line), value, (size_t)(end - value)};
    return 0;
}

/* What the parser itself needs of a header. */
static int header_use(struct multipart *mp, const struct multipart_header *header, bool *has_names)
{
    if (text_equal_nocase(header->name, header->name_len, "content-type", 12)) {
        mp->part.type = header->value;
        mp->part.type_len = header->value_len;
    }
    if (!text_equal_nocase(header->name, header->name_len, "content-disposition", 19))
        return 0;
    *has_names = true;
    bytes_clear(&mp->names);
    bytes_reserve(&mp->names, header->value_len);
    return disposition_parse(&mp->part.names, header->value, header->value_len, mp->names.data);
}

/* Reads the collected headers: lines that end with CRLF, then an empty one. */
static int head_parse(struct multipart *mp)
{
    struct multipart_part *part = &mp->part;
    char *line = mp->head.data;
    const char *end = line + mp->head.len - 2;
    bool has_names = false;
    memset(part, 0, offsetof(struct multipart_part, headers));
    while (line < end) {
        char *feed = memchr(line, '\n', (size_t)(end - line));
        struct multipart_header *header = &part->headers[part->header_count];
        if (part->header_count == MULTIPART_MAX_HEADERS)
            return -EMSGSIZE;
        if (header_parse(header, line, (size_t)(feed - 1 - line)) < 0 || has_header(part, header))
            return -EINVAL;
        int err = header_use(mp, header, &has_names);
        if (err)
            return err;
        part->header_count++;
        line = feed + 1;
    }
    return has_names ? 0 : -EINVAL;
}

/* ---- one step of each state: an event, 0 to go on, or an error ---- */

static int step_start(struct multipart *mp, struct input *in)
{
    if (mp->matched == 2 && *in->at == '\r')
        mp->matched = 0; /* an empty line */
    if (*in->at != mp->delimiter[mp->matched])
        return -EINVAL;
    in->at++;
    mp->matched++;
    if (mp->matched == mp->delimiter_len)
        mp->state = STATE_DELIMITED;
    return 0;
}

static int step_delimited(struct multipart *mp, struct input *in)
{
    char c = *in->at++;
    if (c != '\r' && c != '-')
        return -EINVAL;
    mp->state = c == '\r' ? STATE_CR : STATE_DASH;
    return 0;
}

static int step_dash(struct multipart *mp, struct input *in)
{
    if (*in->at++ != '-')
        return -EINVAL;
    mp->state = STATE_EPILOGUE;
    return 0;
}

static int step_cr(struct multipart *mp, struct input *in)
{
    if (*in->at++ != '\n')
        return -EINVAL;
    if (mp->parts_left == 0)
        return -E2BIG;
    mp->parts_left--;
    mp->state = STATE_HEAD;
    bytes_clear(&mp->head);
    return 0;
}

static bool head_ends_with(const struct multipart *mp, const char *text, size_t len)
{
    return mp->head.len >= len && memcmp(mp->head.data + mp->head.len - len, text, len) == 0;
}

/* Collects up to the end of a line; an empty line ends the headers. */
static int step_head(struct multipart *mp, struct input *in)
{
    const char *feed = memchr(in->at, '\n', input_left(in));
    size_t len = feed ? (size_t)(feed + 1 - in->at) : input_left(in);
    if (len > MULTIPART_MAX_HEAD - mp->head.len)
        return -EMSGSIZE;
    bytes_append(&mp->head, in->at, len);
    in->at += len;
    if (!feed)
        return 0;
    if (!head_ends_with(mp, "\r\n", 2))
        return -EINVAL;
    if (mp->head.len > 2 && !head_ends_with(mp, "\r\n\r\n", 4))
        return 0;

    int err = head_parse(mp);
    if (err)
        return err;
    mp->state = STATE_DATA;
    /* This line break may also be the delimiter's own, when there is no content at all. */
    mp->matched = 2;
    mp->hidden = 2;
    return MULTIPART_PART;
}

/* Moves past what goes on matching the delimiter. */
static void delimiter_match(struct multipart *mp, struct input *in)
{
    while (in->at < in->end && mp->matched < mp->delimiter_len &&
           *in->at == mp->delimiter[mp->matched]) {
        in->at++;
        mp->matched++;
    }
}

/* What began like the delimiter has turned out to be content. */
static int data_unmatched(struct multipart *mp, struct multipart_piece *piece)
{
    *piece = (struct multipart_piece){mp->delimiter + mp->hidden, mp->matched - mp->hidden};
    mp->matched = 0;
    mp->hidden = 0;
    return piece->len ? MULTIPART_DATA : 0;
}

static int step_data(struct multipart *mp, struct input *in, struct multipart_piece *piece)
{
    if (mp->matched) {
        delimiter_match(mp, in);
        if (mp->matched == mp->delimiter_len) {
            mp->state = STATE_DELIMITED;
            return MULTIPART_PART_END;
        }
        return in->at < in->end ? data_unmatched(mp, piece) : 0;
    }

    const char *start = in->at;
    const char *stop = in->end; /* of what is certainly content */
    while ((in->at = memchr(in->at, '\r', input_left(in)))) {
        stop = in->at;
        delimiter_match(mp, in);
        if (in->at == in->end || mp->matched == mp->delimiter_len)
            break;
        mp->matched = 0; /* content after all, like the bytes around it */
        stop = in->end;
    }
    if (!in->at)
        in->at = in->end;
    *piece = (struct multipart_piece){start, (size_t)(stop - start)};
    return piece->len ? MULTIPART_DATA : 0;
}

static int step(struct multipart *mp, struct input *in, struct multipart_piece *piece)
{
    switch ((enum state)mp->state) {
    case STATE_START: return step_start(mp, in);
    case STATE_DELIMITED: return step_delimited(mp, in);
    case STATE_CR: return step_cr(mp, in);
    case STATE_DASH: return step_dash(mp, in);
    case STATE_HEAD: return step_head(mp, in);
    case STATE_DATA: return step_data(mp, in, piece);
    case STATE_EPILOGUE: in->at = in->end; return 0;
    }
    return -EINVAL;
}

int multipart_next(struct multipart *mp, const char **data, size_t *len,
                   struct multipart_piece *piece)
{
    struct input in = {*data, *data + *len};
    int event = mp->error;
    while (event == 0 &&
           (in.at < in.end || (mp->state == STATE_DATA && mp->matched == mp->delimiter_len)))
        event = step(mp, &in, piece);
    if (event < 0)
        mp->error = event;
    *data = in.at;
    *len = input_left(&in);
    return event;
}

int multipart_finish(const struct multipart *mp)
{
    if (mp->error)
        return mp->error;
    return mp->state == STATE_EPILOGUE ? 0 : -EINVAL;
}
