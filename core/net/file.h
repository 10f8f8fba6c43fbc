/* Opens files to be sent: regular ones only, without ever waiting for one, and beneath a folder
 * when their name comes from a client. */
#ifndef NET_FILE_H
#define NET_FILE_H

#include <stdint.h>

struct file_info {
    int fd;
    uint64_t size;
    int64_t modified; /* seconds since 1970 */
    uint32_t modified_ns;
};

/* Opens `path` for reading. With a `root` it is taken as relative to that folder and cannot leave
 * it: "..", and symbolic links on the way, are refused (the root itself may be a link). 0 with the
 * file open, or an error:
 *     -ENOENT -ENOTDIR   there is none
 *     -ELOOP -EXDEV      a symbolic link, or a way out of the root: to a client, there is none
 *     -EISDIR            a folder
 *     -EACCES            not ours to read, or a device, FIFO or socket
 *     -EMFILE ...        what the system says */
int file_open(const char *root, const char *path, struct file_info *info);
void file_close(struct file_info *info); /* no effect when it is closed already */

#endif
