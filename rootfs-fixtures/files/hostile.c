/* What a container does to those who enter it, for ever; prints a line for each that it got.
 *
 * Runs only in the probe image.
 *
 * hostile hold WORD       traces every process with WORD in its command line, and waits for none:
 *                         nobody else can reap it then
 * hostile forge KIND PID  takes the channels of each command that is on its way (pidfd_getfd(2)) and
 *                         writes what its supervisor might believe:
 *                         process  that another process goes on, the one of that number
 *                         bytes    what is no message
 *                         many     more messages than anybody needs
 *                         files    as many open files as a message can carry
 *                         nothing  nothing, and keeps the channel open
 * hostile deep DIRECTORY COUNT  makes so many directories, each in the one before
 * hostile flat DIRECTORY        removes them
 * hostile dig FILE              tries the ways out of a root that is no root of a mount namespace, and tells after
 *                               each step what it has: "found FILE" where that file of the machine is there
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int read_file(const char *process, const char *name, char *text, int size) {
    char path[320];
    snprintf(path, sizeof path, "/proc/%s/%s", process, name);
    int file = open(path, O_RDONLY);
    int length = file < 0 ? 0 : read(file, text, size - 1);
    close(file);
    if (length < 0) length = 0;
    for (int i = 0; i < length; i++)
        if (!text[i]) text[i] = ' ';
    text[length] = 0;
    return length;
}

static void send_files(int channel, const void *text, int length, int file, int count) {
    char space[CMSG_SPACE(253 * sizeof(int))];
    struct iovec part = {(void *)text, length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *beside = CMSG_FIRSTHDR(&message);
    beside->cmsg_level = SOL_SOCKET;
    beside->cmsg_type = SCM_RIGHTS;
    beside->cmsg_len = CMSG_LEN(count * sizeof(int));
    for (int i = 0; i < count; i++) memcpy(CMSG_DATA(beside) + i * sizeof file, &file, sizeof file);
    sendmsg(channel, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void forge(int channel, const char *kind, int32_t number) {
    char garbage[4096];
    memset(garbage, 0x1b, sizeof garbage);
    int own = syscall(SYS_pidfd_open, getpid(), 0);
    fcntl(channel, F_SETFL, O_NONBLOCK);
    if (!strcmp(kind, "process")) {
        send_files(channel, &number, sizeof number, own, 1);
        if (write(channel, &number, sizeof number) < 0) errno = 0;
    } else if (!strcmp(kind, "bytes")) {
        if (write(channel, garbage, sizeof garbage) < 0) errno = 0;
    } else if (!strcmp(kind, "many")) {
        for (int i = 0; i < 1000; i++)
            if (write(channel, garbage, 5) < 0) break;
    } else if (!strcmp(kind, "files")) {
        for (int i = 0; i < 100; i++) send_files(channel, garbage, 4, own, 253);
    }
    close(own);
    /* The channel stays open. */
}

/* No path would be short enough for the names. */
static int nest(const char *directory, int count) {
    if (chdir(directory)) return 1;
    for (int i = 0; i < count; i++)
        if (mkdir("d", 0777) || chdir("d")) return 1;
    return 0;
}

static int flatten(const char *directory) {
    int depth = 0;
    if (chdir(directory)) return 1;
    while (!chdir("d")) depth++;
    while (depth--)
        if (chdir("..") || rmdir("d")) return 1;
    return 0;
}

static const char *wanted;

/* Looks where this process is now: from its root, from its working directory, and above that. */
static void look(const char *step, int result) {
    printf("%s: %s\n", step, result ? strerror(errno) : "done");
    if (!access(wanted, F_OK) || !access(wanted + 1, F_OK)) printf("found %s\n", wanted);
    for (int i = 0; i < 64; i++)
        if (chdir("..")) break;
    if (!access(wanted + 1, F_OK)) printf("found %s\n", wanted);
    fflush(stdout);
}

static void uncover(void) {
    for (int i = 0; i < 8; i++) look("umount /", umount2("/", i < 4 ? MNT_DETACH : 0));
    for (int i = 0; i < 8; i++) look("umount ..", umount2("..", MNT_DETACH));
}

static void enter_again(void) {
    int namespace = open("/proc/self/ns/mnt", O_RDONLY);
    for (int i = 0; i < 8; i++) {
        look("umount / before setns", umount2("/", MNT_DETACH));
        look("setns", setns(namespace, CLONE_NEWNS));
    }
    look("chroot to the root of process 1", chroot("/proc/1/root"));
}

static void climb(void) {
    int root = open("/", O_RDONLY | O_DIRECTORY);
    mkdir("/cage", 0777);
    look("chroot /cage", chroot("/cage"));
    look("fchdir", fchdir(root));
    look("chroot .", chroot("."));
    look("chroot ..", chroot(".."));
}

static void turn(void) {
    look("bind / on itself", mount("/", "/cage", NULL, MS_BIND | MS_REC, NULL));
    look("chdir /cage", chdir("/cage"));
    look("pivot_root . .", syscall(SYS_pivot_root, ".", "."));
    for (int i = 0; i < 8; i++) look("umount .", umount2(".", MNT_DETACH));
    look("chdir /cage/cage", chdir("/cage/cage") && chdir("/cage"));
    look("move . to /", mount(".", "/", NULL, MS_MOVE, NULL));
    look("chroot .", chroot("."));
    uncover();
}

static void turn_elsewhere(void) {
    look("unshare", unshare(CLONE_NEWNS));
    look("private", mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL));
    turn();
    enter_again();
}

static int dig(const char *file) {
    void (*ways[])(void) = {climb, turn_elsewhere, enter_again, turn, uncover};
    wanted = file;
    mkdir("/cage", 0777);
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        pid_t child = fork();
        if (!child) {
            look("begin", 0);
            ways[i]();
            _exit(0);
        }
        if (child < 0 || waitpid(child, NULL, 0) != child) return 1;
        printf("way %u is over\n", i + 1);
        fflush(stdout);
    }
    return 0;
}

static int seen[1 << 22];

int main(int count, char **words) {
    if (count == 4 && !strcmp(words[1], "deep")) return nest(words[2], atoi(words[3]));
    if (count == 3 && !strcmp(words[1], "flat")) return flatten(words[2]);
    if (count == 3 && !strcmp(words[1], "dig")) return dig(words[2]);
    int holds = count == 3 && !strcmp(words[1], "hold");
    if (!holds && !(count == 4 && !strcmp(words[1], "forge"))) return 2;
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        DIR *all = opendir("/proc");
        for (struct dirent *one; (one = readdir(all));) {
            int pid = atoi(one->d_name);
            char text[4096];
            if (pid <= 1 || seen[pid]) continue;
            if (!read_file(one->d_name, holds ? "cmdline" : "comm", text, sizeof text)) continue;
            if (!strstr(text, holds ? words[2] : "minipod:exec")) continue;
            if (ptrace(PTRACE_SEIZE, pid, 0, 0)) continue;
            seen[pid] = 1;
            if (!holds) {
                ptrace(PTRACE_INTERRUPT, pid, 0, 0);
                waitpid(pid, NULL, __WALL);
                int process = syscall(SYS_pidfd_open, pid, 0), got = 0;
                for (int number = 3; number < 64; number++) {
                    int channel = syscall(SYS_pidfd_getfd, process, number, 0);
                    if (channel < 0) continue;
                    forge(channel, words[2], atoi(words[3]));
                    got++;
                }
                close(process);
                ptrace(PTRACE_DETACH, pid, 0, 0);
                if (!got) continue;
            }
            printf("got one\n");
            fflush(stdout);
        }
        closedir(all);
    }
}
