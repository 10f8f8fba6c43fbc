/* Opens files to be sent. The kernel keeps us beneath the root (openat2); where a sandbox has no
 * such call, we walk down one component at a time and follow no link. */
#include "net/file.h"

#include "base/tally.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Non-blocking: opening a FIFO must not wait for its writer. */
#define FILE_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define FOLDER_FLAGS (O_PATH | O_DIRECTORY | O_CLOEXEC)
#define FILE_TRIES 8 /* while something on the way is being renamed */

static bool is_dots(const char *name, size_t len)
{
    return len == 2 && name[0] == '.' && name[1] == '.';
}

static bool has_dots(const char *path)
{
    while (*path) {
        size_t len = strcspn(path, "/");
        if (is_dots(path, len))
            return true;
        path += len;
        path += strspn(path, "/");
    }
    return false;
}

/* The kernel's way. The fd, or an error. */
static int open_beneath(int folder, const char *path)
{
    struct open_how how = {
        .flags = FILE_FLAGS,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
    };
    int fd;
    int tries = FILE_TRIES;
    do {
        fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
    } while (fd < 0 && (errno == EINTR || (errno == EAGAIN && --tries > 0)));
    return fd < 0 ? -errno : fd;
}

/* Opens one component that is no symbolic link. The fd, or an error. */
static int open_component(int folder, const char *name, size_t len, int flags)
{
    char copy[NAME_MAX + 1];
    if (len > NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(copy, name, len);
    copy[len] = '\0';
    int fd = openat(folder, copy, flags | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

/* The same by hand: each folder on the way is held open while its member is looked up. */
static int open_stepwise(int root, const char *path)
{
    int folder = root;
    for (;;) {
        size_t len = strcspn(path, "/");
        bool is_last = path[len] == '\0';
        int fd = open_component(folder, path, len, is_last ? FILE_FLAGS : FOLDER_FLAGS);
        if (folder != root)
            close(folder);
        path += len;
        path += strspn(path, "/");
        if (fd < 0 || *path == '\0')
            return fd; /* of a folder when a slash ends the path: not regular, so refused later */
        folder = fd;
    }
}

/* `path` is not empty and does not begin with a slash. The fd, or an error. */
static int open_in(const char *root, const char *path)
{
    int folder = open(root, FOLDER_FLAGS);
    if (folder < 0)
        return -errno;
    int fd = open_beneath(folder, path);
    if (fd == -ENOSYS || fd == -EPERM) /* no such call, or a sandbox that knows none */
        fd = open_stepwise(folder, path);
    close(folder);
    return fd;
}

static int open_any(const char *root, const char *path)
{
    if (!root) {
        int fd = open(path, FILE_FLAGS);
        return fd < 0 ? -errno : fd;
    }
    path += strspn(path, "/");
    if (*path == '\0')
        return -EISDIR;
    return has_dots(path) ? -EXDEV : open_in(root, path);
}

/* Only what has a size and never blocks may be sent. */
static int check_regular(int fd, struct file_info *info)
{
    struct stat stat;
    if (fstat(fd, &stat) < 0)
        return -errno;
    if (S_ISDIR(stat.st_mode))
        return -EISDIR;
    if (!S_ISREG(stat.st_mode))
        return -EACCES;
    info->size = (uint64_t)stat.st_size;
    info->modified = stat.st_mtim.tv_sec;
    info->modified_ns = (uint32_t)stat.st_mtim.tv_nsec;
    return 0;
}

int file_open(const char *root, const char *path, struct file_info *info)
{
    info->fd = -1;
    int fd = open_any(root, path);
    if (fd < 0)
        return fd == -ENXIO ? -EACCES : fd; /* a socket, or a device without its driver */
    int err = check_regular(fd, info);
    if (err) {
        close(fd);
        return err;
    }
    info->fd = fd;
    tally_add(TALLY_FILE, 1);
    return 0;
}

void file_close(struct file_info *info)
{
    if (info->fd < 0)
        return;
    close(info->fd);
    info->fd = -1;
    tally_add(TALLY_FILE, -1);
}

#ifdef NEAP_TSAN
/* ThreadSanitizer follows descriptors by some functions of libc. Our openat2 and libuv's close are
 * bare system calls, so it would take a file for the socket of another thread that had its number
 * before. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:file_open\nrace:file_close\n";
}
#endif
