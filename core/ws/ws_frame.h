/* Frames of a WebSocket (RFC 6455, section 5): reading one on wslay's frame API, and the heads of
 * those that we send. Private to core/ws. */
#ifndef WS_WS_FRAME_H
#define WS_WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wslay/wslay.h>

#define WS_CONTROL_MAX 125 /* payload of a control frame */
#define WS_HEAD_MAX 14     /* bytes: 2, up to 8 of length, 4 of mask */

#define WS_FINAL 0x80u    /* in the first byte of a frame */
#define WS_DEFLATED 0x40u /* RSV1 */

/* One frame that is being read. Borrowed from a pool (ws_pool.c) from its first byte to its last,
 * because wslay's context has 4 KiB of buffer. */
struct ws_frame {
    /* From WS_FRAME_HEAD on: */
    bool is_final;
    bool is_masked;
    uint8_t reserved; /* WSLAY_RSV1_BIT ... */
    uint8_t opcode;
    uint64_t length; /* of the payload, as announced */
    /* After WS_FRAME_DATA, until the next step: */
    const char *part; /* payload, unmasked */
    size_t part_len;
    bool is_done; /* that was the last of it */

    /* Only ws_frame.c looks at these: */
    wslay_frame_context_ptr wslay;
    uint8_t head[WS_HEAD_MAX];
    uint8_t head_len; /* how much of it has come */
    uint8_t head_fed; /* and wslay knows */
    const char *input;
    size_t input_len;
    uint64_t left; /* payload that wslay has not got */

    struct ws_pool *pool;  /* to give it back to */
    struct ws_frame *next; /* in there */

    /* For the reader: a control frame's payload, which may come in pieces. */
    uint8_t control_len;
    char control[WS_CONTROL_MAX];
};

struct ws_frame *ws_frame_alloc(void);
void ws_frame_free(struct ws_frame *frame);
/* Whether nothing of a frame has been read that was not handed out. */
bool ws_frame_is_between(const struct ws_frame *frame);

enum ws_frame_step {
    WS_FRAME_MORE, /* all input was taken, more is needed */
    WS_FRAME_HEAD, /* the head is there: the moment to refuse it */
    WS_FRAME_DATA, /* some payload, or its end */
    WS_FRAME_BAD   /* not a frame: 1002 */
};

/* Takes the next step with the `*len` bytes at `*data`, and moves both on. Never takes a byte
 * behind the end of the frame: what follows may have to wait, and then holds no context. */
enum ws_frame_step ws_frame_read(struct ws_frame *frame, const char **data, size_t *len);

/* Writes the head of a frame to a client. Its length. */
size_t ws_frame_head(char *head, unsigned first, size_t payload_len);

#endif
