/* Makes system calls that a container may or may not make, and prints as JSON what came of each:
 * 0 for success, the error number otherwise, 1000 + the signal when the call killed the process.
 *
 * Runs only in the probe image, because on a machine some calls would succeed. Where a call could
 * change anything, its arguments are such that it fails otherwise when it is allowed.
 *
 * verdicts            every call, by x86-64's numbers, by i386's (int 0x80) and by x32's
 * verdicts swap A B   exchanges two names for ever
 * verdicts exe        opens the program of every process for writing, for ever; prints what it
 *                     could open
 * verdicts look PATH A B
 *                     looks into every process of minipod's and those just started, for ever; prints what of the
 *                     machine it finds: a file PATH below a root or a working directory, a variable
 *                     CANARY, an open file, a capability that it has not itself, and in memory the
 *                     text A followed by B
 * verdicts own PATH A B POD
 *                     looks into every process of minipod's that has the text POD in its command, for
 *                     ever; prints which it sees and what of each it can open
 * verdicts type TEXT  types a text on each of its streams and on its terminal (TIOCSTI); prints the
 *                     verdicts
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/net.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "look.h"

typedef long (*call)(void);

static int first = 1;

static void tell(const char *name, int result) {
    printf("%s\"%s\":%d", first ? "{" : ",", name, result);
    first = 0;
    fflush(stdout);
}

/* Makes the call in a child, so that nothing it does stays. */
static void try(const char *name, call job) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        errno = 0;
        long result = job();
        _exit(result < 0 ? (errno ? errno : 255) : 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    tell(name, WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status));
}

#define TRY(name, expression) \
    long try_##name(void) { return (expression); }
#define RUN(name) try(#name, try_##name)

static long device(const char *path, mode_t mode, dev_t number, int also_open) {
    unlink(path);
    if (mknod(path, mode | 0600, number)) return -1;
    int file = also_open ? open(path, O_RDONLY | O_NONBLOCK) : 0;
    int error = errno;
    unlink(path);
    errno = error;
    return file;
}

static long bind_low_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
    int socket_ = socket(AF_INET, SOCK_STREAM, 0);
    return bind(socket_, (struct sockaddr *)&address, sizeof address);
}

static long trace_child(void) {
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    long result = ptrace(PTRACE_SEIZE, child, 0, 0);
    int error = errno;
    kill(child, SIGKILL);
    errno = error;
    return result;
}

static void *nothing(void *unused) { return unused; }

static long threads(void) {
    pthread_t one;
    int error = pthread_create(&one, NULL, nothing, NULL);
    if (error) {
        errno = error;
        return -1;
    }
    return pthread_join(one, NULL);
}

static long spawned(void) {
    char *arguments[] = {"/bin/true", NULL};
    pid_t child;
    int error = posix_spawn(&child, "/bin/true", NULL, NULL, arguments, arguments + 1);
    if (error) {
        errno = error;
        return -1;
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status;
}

static long keyring(void) { return syscall(SYS_keyctl, 0 /* GET_KEYRING_ID */, -3, 0); }

TRY(keyctl, keyring())
TRY(search_key, syscall(SYS_keyctl, 10 /* SEARCH */, -3, "user", "minipod-canary", 0))
TRY(add_key, syscall(SYS_add_key, "user", "probe", "x", 1, -3))
TRY(unshare_user, syscall(SYS_unshare, CLONE_NEWUSER))
TRY(unshare_mount, syscall(SYS_unshare, CLONE_NEWNS))
TRY(clone_mount, syscall(SYS_clone, CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0))
TRY(clone3, syscall(SYS_clone3, NULL, 0))
TRY(mount, mount("none", "/nowhere", "tmpfs", 0, NULL))
TRY(umount, umount2("/nowhere", MNT_DETACH))
TRY(remount, mount("none", "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL))
TRY(bpf, syscall(SYS_bpf, 0, NULL, 0))
TRY(open_by_handle_at, syscall(SYS_open_by_handle_at, -1, NULL, 0))
TRY(unknown, syscall(999))
TRY(userfaultfd, syscall(SYS_userfaultfd, 0))
TRY(io_uring_setup, syscall(SYS_io_uring_setup, 1, NULL))
TRY(personality_randomize, syscall(SYS_personality, 0x0040000))
TRY(personality_default, syscall(SYS_personality, 0))
TRY(ptrace, trace_child())
TRY(kexec_load, syscall(SYS_kexec_load, 0, 0, NULL, 0))
TRY(swapon, syscall(SYS_swapon, "/nowhere", 0))
TRY(init_module, syscall(SYS_init_module, NULL, 0, ""))
TRY(reboot, syscall(SYS_reboot, 0, 0, 0, NULL))
TRY(settimeofday, syscall(SYS_settimeofday, NULL, NULL))
TRY(sethostname, syscall(SYS_sethostname, "x", 65))
TRY(chroot, chroot("/"))
TRY(setns, syscall(SYS_setns, -1, 0))
TRY(socket_alg, socket(38, SOCK_SEQPACKET, 0))
TRY(socket_vsock, socket(40, SOCK_STREAM, 0))
TRY(socket_inet, socket(AF_INET, SOCK_STREAM, 0))
TRY(socket_unix, socket(AF_UNIX, SOCK_STREAM, 0))
TRY(socket_netlink, socket(AF_NETLINK, SOCK_RAW, 0))
TRY(socket_packet, socket(AF_PACKET, SOCK_RAW, 0))
TRY(chown, chown("/tmp", 0, 0))
TRY(bind_low_port, bind_low_port())
TRY(mknod_disk, device("/tmp/disk", S_IFBLK, makedev(8, 0), 0))
TRY(open_disk, device("/tmp/disk", S_IFBLK, makedev(8, 0), 1))
TRY(open_memory, device("/tmp/mem", S_IFCHR, makedev(1, 1), 1))
TRY(open_null, device("/tmp/null", S_IFCHR, makedev(1, 3), 1))
TRY(threads, threads())
TRY(spawn, spawned())
TRY(vfork, system("/bin/true"))
TRY(setuid, setuid(12345))

#ifdef __x86_64__
static long result_of(long value) {
    if (value < 0 && value > -4096) {
        errno = -value;
        return -1;
    }
    return value;
}

/* i386's way into the kernel, with i386's numbers. Pointers must be below 4 GiB. */
static long int80(long number, long a, long b, long c) {
    long value;
    __asm__ volatile("int $0x80" : "=a"(value) : "0"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
    return result_of((int)value);
}

static long x32(long number, long a, long b, long c) {
    return syscall(0x40000000 + number, a, b, c);
}

static long socketcall_alg(void) {
    unsigned *arguments = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    arguments[0] = 38;
    arguments[1] = SOCK_SEQPACKET;
    arguments[2] = 0;
    return int80(102, SYS_SOCKET, (long)arguments, 0);
}

TRY(i386_getpid, int80(20, 0, 0, 0))
TRY(i386_keyctl, int80(288, 0, -3, 0))
TRY(i386_unshare, int80(310, CLONE_NEWUSER, 0, 0))
TRY(i386_mount, int80(21, 0, 0, 0))
TRY(i386_bpf, int80(357, 0, 0, 0))
TRY(i386_socketcall_alg, socketcall_alg())
TRY(x32_getpid, x32(39, 0, 0, 0))
TRY(x32_keyctl, x32(250, 0, -3, 0))
TRY(x32_unshare, x32(272, CLONE_NEWUSER, 0, 0))
TRY(x32_mount, x32(165, 0, 0, 0))
#endif

static void all(void) {
    RUN(keyctl); RUN(search_key); RUN(add_key); RUN(unshare_user); RUN(unshare_mount); RUN(clone_mount);
    RUN(clone3); RUN(mount); RUN(umount); RUN(remount); RUN(bpf); RUN(open_by_handle_at);
    RUN(unknown); RUN(userfaultfd); RUN(io_uring_setup); RUN(personality_randomize);
    RUN(personality_default); RUN(ptrace); RUN(kexec_load); RUN(swapon); RUN(init_module);
    RUN(reboot); RUN(settimeofday); RUN(sethostname); RUN(chroot); RUN(setns); RUN(socket_alg);
    RUN(socket_vsock); RUN(socket_inet); RUN(socket_unix); RUN(socket_netlink);
    RUN(socket_packet); RUN(chown); RUN(bind_low_port); RUN(mknod_disk); RUN(open_disk);
    RUN(open_memory); RUN(open_null); RUN(threads); RUN(spawn); RUN(vfork); RUN(setuid);
#ifdef __x86_64__
    RUN(i386_getpid); RUN(i386_keyctl); RUN(i386_unshare); RUN(i386_mount); RUN(i386_bpf);
    RUN(i386_socketcall_alg); RUN(x32_getpid); RUN(x32_keyctl); RUN(x32_unshare); RUN(x32_mount);
#endif
    long serial = keyring();
    printf(",\"keyring\":%ld}\n", serial);
}

static void open_programs(void) {
    for (;;) {
        DIR *processes = opendir("/proc");
        for (struct dirent *one; (one = readdir(processes));) {
            char path[300], target[300] = "";
            snprintf(path, sizeof path, "/proc/%s/exe", one->d_name);
            int file = open(path, O_WRONLY);
            if (file < 0) continue;
            if (readlink(path, target, sizeof target - 1) > 0) printf("opened %s\n", target);
            fflush(stdout);
            close(file);
        }
        closedir(processes);
    }
}

static int type_on(int file, const char *text) {
    for (; *text; text++)
        if (ioctl(file, TIOCSTI, text)) return errno;
    return 0;
}

static void type(const char *text) {
    for (int file = 0; file < 3; file++) {
        char name[2] = {'0' + file, 0};
        tell(name, type_on(file, text));
    }
    int terminal = open("/dev/tty", O_RDWR);
    tell("terminal", terminal < 0 ? errno : type_on(terminal, text));
    puts("}");
}

int main(int count, char **words) {
    /* Some of these calls are no good on a machine that has better things to do. */
    if (access("/verdicts", X_OK) || access("/probe", X_OK)) {
        fprintf(stderr, "this is to be run in a container of the probe image only\n");
        return 2;
    }
    if (count == 1) {
        all();
    } else if (!strcmp(words[1], "swap") && count == 4) {
        for (;;) syscall(SYS_renameat2, AT_FDCWD, words[2], AT_FDCWD, words[3], 2 /* EXCHANGE */);
    } else if (!strcmp(words[1], "exe")) {
        open_programs();
    } else if (!strcmp(words[1], "look") && count == 5) {
        look(words[2], words[3], words[4]);
    } else if (!strcmp(words[1], "own") && count == 6) {
        look_at_own(words[2], words[3], words[4], words[5]);
    } else if (!strcmp(words[1], "type") && count == 3) {
        type(words[2]);
    } else {
        return 2;
    }
    return 0;
}
