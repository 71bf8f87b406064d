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
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static int seen[1 << 22];

int main(int count, char **words) {
    if (count == 4 && !strcmp(words[1], "deep")) return nest(words[2], atoi(words[3]));
    if (count == 3 && !strcmp(words[1], "flat")) return flatten(words[2]);
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
