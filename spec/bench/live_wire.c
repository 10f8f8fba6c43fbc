/* What the two reference servers read and answer: just enough HTTP and WebSocket for live_client.
 */
#include "live_wire.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 */
#define KEY_SIZE 24

static const char *header_value(const char *bytes, const char *name)
{
    const char *at = strstr(bytes, name);
    return at ? at + strlen(name) : NULL;
}

struct wire_request wire_read(char *bytes, size_t size)
{
    struct wire_request request = {.act = WIRE_ANSWER, .count = 1};
    bytes[size] = '\0'; /* the buffer has one byte more */
    char *end = strstr(bytes, "\r\n\r\n");
    if (!end)
        return request;
    end[2] = '\0'; /* headers are looked for no further */
    end += 4;

    const char *length = header_value(bytes, "Content-Length: ");
    request.message = end;
    request.message_size = length ? strtoul(length, NULL, 10) : 0;
    request.size = (size_t)(end - bytes) + request.message_size;
    if (request.size > size)
        request.size = 0;
    if (strncmp(bytes, "POST /publish", 13) == 0) {
        request.act = WIRE_PUBLISH;
        if (strncmp(bytes + 13, "?count=", 7) == 0)
            request.count = atoi(bytes + 20);
    } else if (strncmp(bytes, "GET /ws", 7) == 0) {
        request.act = WIRE_SUBSCRIBE;
    }
    return request;
}

static size_t answer_handshake(const char *bytes, char *out)
{
    char text[KEY_SIZE + sizeof(MAGIC)];
    unsigned char digest[SHA_DIGEST_LENGTH], accept[32];
    const char *key = header_value(bytes, "Sec-WebSocket-Key: ");
    if (!key || strlen(key) < KEY_SIZE)
        return 0;
    memcpy(text, key, KEY_SIZE);
    memcpy(text + KEY_SIZE, MAGIC, sizeof(MAGIC));
    SHA1((const unsigned char *)text, strlen(text), digest);
    EVP_EncodeBlock(accept, digest, sizeof(digest));
    return (size_t)snprintf(out, WIRE_ANSWER_MAX,
                            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                            accept);
}

size_t wire_answer(const struct wire_request *request, const char *bytes, char *out)
{
    if (request->act == WIRE_SUBSCRIBE)
        return answer_handshake(bytes, out);
    return (size_t)snprintf(out, WIRE_ANSWER_MAX,
                            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
                            "Content-Length: 5\r\n\r\nhello");
}

static size_t frame_head(unsigned char *out, size_t size)
{
    out[0] = 0x81; /* the last frame of a text message */
    if (size < 126) {
        out[1] = (unsigned char)size;
        return 2;
    }
    out[1] = 126;
    out[2] = (unsigned char)(size >> 8);
    out[3] = (unsigned char)size;
    return 4;
}

const char *wire_frames(const struct wire_request *request, size_t *size)
{
    static char *frames;
    static size_t cap;
    size_t wanted = (request->message_size + 4) * (size_t)request->count;
    if (wanted > cap) {
        frames = realloc(frames, cap = wanted);
        if (!frames)
            abort();
    }
    *size = 0;
    for (int i = 0; i < request->count; i++) {
        *size += frame_head((unsigned char *)frames + *size, request->message_size);
        memcpy(frames + *size, request->message, request->message_size);
        *size += request->message_size;
    }
    return frames;
}
