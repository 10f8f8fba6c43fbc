/* What a topic's message looks like to each kind of client. Here, because it joins two rooms that
 * do not know each other: live/ has the messages, http/ the wire formats. */
#ifndef PUSH_ENCODING_H
#define PUSH_ENCODING_H

#include "base/bytes.h"
#include "live/message.h"

/* Makes the encoding of that kind: a message_encode_fn for each of enum message_encoding. */
message_encode_fn encoding_maker(enum message_encoding which);
/* Appends the payload as one JSON value: text quoted, JSON as it is, binary in base64. */
void encoding_append_json(struct bytes *out, const struct message *message);
/* A frame's or event's text for a gap: {"gap":true,"cursor":"..."}. */
void encoding_append_gap(struct bytes *out, uint64_t epoch, uint64_t seq);

#endif
