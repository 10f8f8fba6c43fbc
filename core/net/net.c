/* The text of error codes: see net.h. */
#include "net/net.h"

#include <unistd.h>
#include <uv.h>

const char *net_error(int err)
{
    return err == UV_ETIMEDOUT ? "timeout" : uv_strerror(err);
}

void net_close_fd(int fd)
{
    close(fd);
}
