/* Writing to a client that may be slow without queueing for it: whole pieces or nothing. What a
 * client does not take stays with the writer, who has it anyway (a topic's log), so a thousand slow
 * clients cost a piece each. */
#include "net/outbox.h"

int conn_write_pieces(struct conn *conn, const char *data, const size_t *ends, int count)
{
    size_t sent = conn_try_write(conn, data, ends[count - 1]);
    if (sent == ends[count - 1])
        return count;
    int taken = 0;
    while (ends[taken] <= sent)
        taken++;
    if (conn->outbox || outbox_is_shut(conn))
        return taken;
    /* The piece that was cut, or else the next one, waits here, so that on_drained will come.
     * Trying once more could succeed, and then nothing would. */
    outbox_queue(conn, data + sent, ends[taken] - sent);
    return taken + 1;
}
