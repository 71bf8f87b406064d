/* Looks into other processes. */
#define _GNU_SOURCE
#include "look.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is looked for in memory; it is put together here, so that no command line has it. */
static char canary[100];

/* Each thing is told once. */
static void told(const char *what, const char *detail) {
    static char seen[64][200];
    static int count;
    char line[200];
    snprintf(line, sizeof line, "%s %s", what, detail);
    for (int i = 0; i < count; i++)
        if (!strcmp(seen[i], line)) return;
    if (count < 64) strcpy(seen[count++], line);
    puts(line);
    fflush(stdout);
}

static int read_file(const char *process, const char *name, char *text, int size) {
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/%s", process, name);
    int file = open(path, O_RDONLY);
    int count = file < 0 ? -1 : read(file, text, size - 1);
    if (file >= 0) close(file);
    text[count < 0 ? 0 : count] = 0;
    return count;
}

static unsigned long long capabilities(const char *process) {
    char text[4096];
    read_file(process, "status", text, sizeof text);
    char *line = strstr(text, "CapPrm:");
    return line ? strtoull(line + 7, NULL, 16) : 0;
}

/* Whether the canary is somewhere in the memory of a process that it can write to; tells whose could be read. */
static int has_in_memory(const char *process, const char *name) {
    char path[300], line[500];
    snprintf(path, sizeof path, "/proc/%s/maps", process);
    FILE *maps = fopen(path, "r");
    snprintf(path, sizeof path, "/proc/%s/mem", process);
    int memory = open(path, O_RDONLY), found = 0;
    while (maps && memory >= 0 && !found && fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        char permissions[8];
        if (sscanf(line, "%lx-%lx %7s", &start, &end, permissions) != 3 || permissions[1] != 'w') continue;
        if (end - start > 64 << 20) continue;
        char *copy = malloc(end - start);
        long count = pread(memory, copy, end - start, start);
        found = count > 0 && memmem(copy, count, canary, strlen(canary));
        if (count > 0) told("read", name);
        free(copy);
    }
    if (maps) fclose(maps);
    if (memory >= 0) close(memory);
    return found;
}

static void look_into(const char *process, const char *path) {
    char name[64], text[8192], place[600], target[300];
    read_file(process, "comm", name, sizeof name);
    name[strcspn(name, "\n")] = 0;
    if (!strncmp(name, "minipod", 7)) told("saw", name);
    for (int i = 0; i < 2; i++) {
        snprintf(place, sizeof place, "/proc/%s/%s%s", process, i ? "cwd" : "root", path);
        if (!access(place, F_OK)) told("path", name);
    }
    int count = read_file(process, "environ", text, sizeof text);
    for (int at = 0; at < count; at += strlen(text + at) + 1)
        if (!strncmp(text + at, "CANARY=", 7)) told("variable", name);
    if (capabilities(process) & ~capabilities("self")) told("capability", name);
    for (int file = 3; file < 40; file++) {
        snprintf(place, sizeof place, "/proc/%s/fd/%d", process, file);
        int length = readlink(place, target, sizeof target - 1);
        if (length < 0) continue;
        target[length] = 0;
        if (strncmp(target, "socket:", 7)) told("file", target);
    }
}

void look(const char *path, const char *first, const char *second) {
    snprintf(canary, sizeof canary, "%s%s", first, second);
    long me = getpid(), last = 0;
    for (;;) {
        DIR *processes = opendir("/proc");
        for (struct dirent *one; (one = readdir(processes));) {
            long pid = atol(one->d_name);
            if (pid <= 0 || pid == me) continue;
            look_into(one->d_name, path);
            if (pid > last) {
                /* What has just been born is stopped, so that it can be looked at. */
                last = pid;
                if (!ptrace(PTRACE_SEIZE, pid, 0, 0)) {
                    ptrace(PTRACE_INTERRUPT, pid, 0, 0);
                    look_into(one->d_name, path);
                    told("traced", "one");
                    waitpid(pid, NULL, __WALL);
                    look_into(one->d_name, path);
                    if (has_in_memory(one->d_name, "memory")) told("memory", "of one");
                    ptrace(PTRACE_DETACH, pid, 0, 0);
                }
            }
        }
        closedir(processes);
    }
}


/* What can be opened of one of minipod's processes. */
static void look_at(const char *process, const char *name, const char *path) {
    char text[8192], place[600], target[300];
    snprintf(place, sizeof place, "/proc/%s/root%s", process, path);
    if (!access(place, F_OK)) told("path", name);
    snprintf(place, sizeof place, "/proc/%s/root/", process);
    DIR *root = opendir(place);
    for (struct dirent *one; root && (one = readdir(root));)
        if (one->d_name[0] != '.') told("root", name);
    if (root) closedir(root);
    if (read_file(process, "environ", text, sizeof text) > 0) {
        told("environment", name);
        if (strstr(text, "CANARY=")) told("variable", name);
    }
    if (capabilities(process)) told("capability", name);
    read_file(process, "status", text, sizeof text);
    char *user = strstr(text, "Uid:");
    if (user && atol(user + 4) == 0) told("user", name);
    for (int file = 3; file < 40; file++) {
        snprintf(place, sizeof place, "/proc/%s/fd/%d", process, file);
        int length = readlink(place, target, sizeof target - 1);
        if (length < 0) continue;
        target[length] = 0;
        target[strcspn(target, "[")] = 0;
        snprintf(place, sizeof place, "%s %s", name, target);
        told("file", place);
    }
    if (has_in_memory(process, name)) told("memory", name);
    if (!ptrace(PTRACE_SEIZE, atol(process), 0, 0)) {
        told("traced", name);
        ptrace(PTRACE_INTERRUPT, atol(process), 0, 0);
        waitpid(atol(process), NULL, __WALL);
        ptrace(PTRACE_DETACH, atol(process), 0, 0);
    }
}

void look_at_own(const char *path, const char *first, const char *second, const char *pod) {
    snprintf(canary, sizeof canary, "%s%s", first, second);
    for (;;) {
        DIR *processes = opendir("/proc");
        for (struct dirent *one; (one = readdir(processes));) {
            char name[64], line[4096];
            if (atol(one->d_name) <= 0) continue;
            int count = read_file(one->d_name, "cmdline", line, sizeof line);
            if (count <= 0 || !memmem(line, count, pod, strlen(pod))) continue;
            read_file(one->d_name, "comm", name, sizeof name);
            name[strcspn(name, "\n")] = 0;
            if (strncmp(name, "minipod:", 8)) continue;
            told("saw", name);
            look_at(one->d_name, name, path);
        }
        closedir(processes);
    }
}
