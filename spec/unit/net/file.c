/* Tests of core/net's files: each check prints `ok sentence` or `not ok sentence`; file_spec.lua
 * reads them. The part beneath a root runs three times: with openat2, and where that call is
 * forbidden. */
#include "base/tally.h"
#include "net/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures;

static void check(bool is_ok, const char *sentence)
{
    printf("%s %s\n", is_ok ? "ok" : "not ok", sentence);
    failures += !is_ok;
}

static char folder[64]; /* for this test */

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(in_folder(name), "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        perror(name);
}

static void make_socket(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", in_folder(name));
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
        perror(name);
    close(fd);
}

/* root/ has what may be served and what may not; secret lies beside it. */
static void make_files(void)
{
    snprintf(folder, sizeof folder, "/tmp/neap_file.XXXXXX");
    if (!mkdtemp(folder))
        perror(folder);
    mkdir(in_folder("root"), 0755);
    mkdir(in_folder("root/sub"), 0755);
    mkdir(in_folder("root/sub/deep"), 0755);
    mkdir(in_folder("root/..x"), 0755);
    write_file("secret", "secret");
    write_file("root/a.txt", "hello");
    write_file("root/empty", "");
    write_file("root/sub/b", "b");
    write_file("root/sub/deep/c", "cc");
    write_file("root/..x/d", "d");
    write_file("root/closed", "closed");
    chmod(in_folder("root/closed"), 0);
    mkfifo(in_folder("root/fifo"), 0644);
    make_socket("root/socket");
    if (symlink("a.txt", in_folder("root/link")) || symlink("sub", in_folder("root/folder_link")) ||
        symlink("../secret", in_folder("root/out")) || symlink("..", in_folder("root/up")) ||
        symlink(folder, in_folder("root/absolute")) || symlink("root", in_folder("root_link")))
        perror("symlink");
}

static void remove_files(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0)
        perror(command);
}

static int count_fds(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}

/* Opens and closes beneath root/: the size, or the error. */
static long opens(const char *path)
{
    char root[128];
    struct file_info info;
    snprintf(root, sizeof root, "%s/root", folder);
    int err = file_open(root, path, &info);
    if (err)
        return info.fd == -1 ? err : -1000;
    file_close(&info);
    return (long)info.size;
}

static bool is_absent(const char *path)
{
    long err = opens(path);
    bool is_one = err == -ENOENT || err == -ENOTDIR || err == -ELOOP || err == -EXDEV;
    if (!is_one)
        printf("# %s: %ld\n", path, err);
    return is_one;
}

static void test_beneath(const char *how)
{
    char sentence[128];
    int fds = count_fds();
#define CHECK(is_ok, text) \
    (snprintf(sentence, sizeof sentence, "file, %s: " text, how), check(is_ok, sentence))
    CHECK(opens("a.txt") == 5 && opens("/a.txt") == 5 && opens("///a.txt") == 5 &&
              opens("empty") == 0 && opens("sub/b") == 1 && opens("sub//deep/./c") == 2 &&
              opens("..x/d") == 1,
          "opens files beneath the root");
    CHECK(is_absent("missing") && is_absent("missing/a") && is_absent("a.txt/b") &&
              is_absent("a.txt/"),
          "what is not there");
    CHECK(opens("..") == -EXDEV && opens("../secret") == -EXDEV &&
              opens("sub/../../secret") == -EXDEV && opens("sub/../a.txt") == -EXDEV &&
              opens("/../secret") == -EXDEV && opens("sub/..") == -EXDEV &&
              opens("a/b/../c") == -EXDEV,
          "never goes up");
    CHECK(is_absent("link") && is_absent("folder_link/b") && is_absent("out") &&
              is_absent("up/secret") && is_absent("absolute/secret") && is_absent("folder_link/") &&
              is_absent("up/root/a.txt"),
          "follows no symbolic link");
    CHECK(opens("") == -EISDIR && opens("/") == -EISDIR && opens("sub") == -EISDIR &&
              opens("sub/") == -EISDIR && opens(".") == -EISDIR && opens("sub/deep/") == -EISDIR,
          "a folder is no file");
    CHECK(opens("fifo") == -EACCES && opens("socket") == -EACCES,
          "neither waits for a FIFO nor opens a socket");
    CHECK(opens("closed") == (geteuid() == 0 ? 6 : -EACCES), "respects permissions");

    char longest[5000];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    CHECK(opens(longest) == -ENAMETOOLONG && opens(longest + sizeof longest - 300) == -ENAMETOOLONG,
          "names too long");
    CHECK(count_fds() == fds && tally_count(TALLY_FILE) == 0, "leaves nothing open");
#undef CHECK
}

/* Lets openat2 fail with `error` in this process from here on, as sandboxes do. */
static bool forbid_openat2(int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
           syscall(SYS_openat2, -1, NULL, NULL, 0) == -1 && errno == error;
}

static void test_sandboxed(int error, const char *how)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        failures = 0;
        check(forbid_openat2(error), "file: this test can forbid openat2");
        test_beneath(how);
        fflush(stdout);
        _exit(failures > 0);
    }
    int status = 1;
    waitpid(child, &status, 0);
    failures += status != 0;
}

static void test_plain_files(void)
{
    struct file_info info;
    struct stat stat_info;
    check(file_open(NULL, in_folder("root/link"), &info) == 0 && info.size == 5 &&
              tally_count(TALLY_FILE) == 1,
          "file: without a root, any path of ours");
    check(fstat(info.fd, &stat_info) == 0 && info.modified == stat_info.st_mtim.tv_sec &&
              info.modified_ns == (uint32_t)stat_info.st_mtim.tv_nsec &&
              (fcntl(info.fd, F_GETFD) & FD_CLOEXEC),
          "file: tells size and time, and is not inherited");
    file_close(&info);
    file_close(&info);
    check(info.fd == -1 && tally_count(TALLY_FILE) == 0, "file: closing twice is harmless");
    check(file_open(NULL, "/dev/null", &info) == -EACCES &&
              file_open(NULL, "/tmp", &info) == -EISDIR && file_open(NULL, "", &info) == -ENOENT,
          "file: neither devices nor folders");
    check(file_open(in_folder("root_link"), "a.txt", &info) == 0, "file: the root may be a link");
    file_close(&info);
    check(file_open(in_folder("nowhere"), "a.txt", &info) == -ENOENT &&
              file_open(in_folder("secret"), "a.txt", &info) == -ENOTDIR,
          "file: a root that is none");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    make_files();
    test_beneath("by openat2");
    test_sandboxed(ENOSYS, "on an old kernel");
    test_sandboxed(EPERM, "in a sandbox");
    test_plain_files();
    remove_files();
    return failures > 0;
}
