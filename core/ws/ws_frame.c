/* Frames of a WebSocket: see ws_frame.h. */
#include "ws/ws_frame.h"

#include "base/die.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* wslay asks for bytes. It gets the head, then the payload, and nothing of the next frame. */
static ssize_t on_wanted(uint8_t *buf, size_t len, int flags, void *user_data)
{
    (void)flags;
    struct ws_frame *frame = user_data;
    if (frame->head_fed < frame->head_len) {
        size_t head_len = frame->head_len;
        assert(frame->head_fed == 0 && len >= head_len);
        memcpy(buf, frame->head, head_len);
        frame->head_fed = frame->head_len;
        return (ssize_t)head_len;
    }
    if (len > frame->input_len)
        len = frame->input_len;
    if (len > frame->left)
        len = (size_t)frame->left;
    if (len == 0)
        return 0; /* wslay: "want read" */
    memcpy(buf, frame->input, len);
    frame->input += len;
    frame->input_len -= len;
    frame->left -= len;
    return (ssize_t)len;
}

struct ws_frame *ws_frame_alloc(void)
{
    static const struct wslay_frame_callbacks callbacks = {.recv_callback = on_wanted};
    struct ws_frame *frame = mem_calloc(sizeof(*frame));
    if (wslay_frame_context_init(&frame->wslay, &callbacks, frame) != 0)
        die("out of memory (for a WebSocket)");
    return frame;
}

void ws_frame_free(struct ws_frame *frame)
{
    wslay_frame_context_free(frame->wslay);
    mem_free(frame);
}

/* ---- reading ---- */

bool ws_frame_is_between(const struct ws_frame *frame)
{
    return frame->head_len == 0 || frame->is_done;
}

/* How long the head is, as far as its first two bytes tell. */
static size_t head_size(const struct ws_frame *frame)
{
    if (frame->head_len < 2)
        return 2;
    uint8_t length = frame->head[1] & 0x7f;
    size_t size = length == 127 ? 10 : length == 126 ? 4 : 2;
    return frame->head[1] & 0x80 ? size + 4 : size;
}

static uint64_t announced_length(const struct ws_frame *frame)
{
    uint64_t length = frame->head[1] & 0x7f;
    size_t size = length == 127 ? 8 : length == 126 ? 2 : 0;
    if (size == 0)
        return length;
    length = 0;
    for (size_t i = 0; i < size; i++)
        length = length << 8 | frame->head[2 + i];
    return length;
}

/* Takes head bytes; true when it is complete. */
static bool read_head(struct ws_frame *frame, const char **data, size_t *len)
{
    while (*len > 0 && frame->head_len < head_size(frame)) {
        frame->head[frame->head_len++] = (uint8_t) * (*data)++;
        (*len)--;
    }
    if (frame->head_len < head_size(frame))
        return false;
    frame->is_final = frame->head[0] & 0x80;
    frame->reserved = (frame->head[0] >> 4) & 7;
    frame->opcode = frame->head[0] & 0x0f;
    frame->is_masked = frame->head[1] & 0x80;
    frame->length = announced_length(frame);
    frame->left = frame->length;
    return true;
}

static void ws_frame_begin(struct ws_frame *frame)
{
    frame->head_len = 0;
    frame->head_fed = 0;
    frame->control_len = 0;
    frame->is_done = false;
}

enum ws_frame_step ws_frame_read(struct ws_frame *frame, const char **data, size_t *len)
{
    if (frame->is_done)
        ws_frame_begin(frame);
    if (frame->head_len < head_size(frame))
        return read_head(frame, data, len) ? WS_FRAME_HEAD : WS_FRAME_MORE;

    struct wslay_frame_iocb got;
    frame->input = *data;
    frame->input_len = *len;
    ssize_t result = wslay_frame_recv(frame->wslay, &got);
    *data = frame->input;
    *len = frame->input_len;
    if (result == WSLAY_ERR_WANT_READ)
        return WS_FRAME_MORE;
    if (result < 0)
        return WS_FRAME_BAD;
    frame->part = (const char *)got.data;
    frame->part_len = got.data_length;
    /* Payload is handed out as soon as wslay gets it, so there is none in its buffer. */
    frame->is_done = frame->left == 0;
    return WS_FRAME_DATA;
}

/* ---- what we send ---- */

size_t ws_frame_head(char *head, unsigned first, size_t payload_len)
{
    size_t size = payload_len < 126 ? 0 : payload_len <= UINT16_MAX ? 2 : 8;
    head[0] = (char)first;
    head[1] = (char)(size == 0 ? payload_len : size == 2 ? 126 : 127);
    for (size_t i = 0; i < size; i++)
        head[2 + i] = (char)(payload_len >> (8 * (size - 1 - i)));
    return 2 + size;
}
