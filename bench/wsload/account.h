// account.h - CPU time and memory of the server's whole process tree, as the scheduler counts them.
#pragma once
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base.h"

static long o_pid; // 0: nothing is measured

static int tree(long root, long *out, int max) {
    static long pid[8192], pp[8192];
    int n = 0, k = 0;
    DIR *d = opendir("/proc");
    struct dirent *e;
    if (!d) return 0;
    while ((e = readdir(d)) && n < 8192)
        if (isdigit(e->d_name[0])) {
            char f[64], b[512];
            snprintf(f, sizeof f, "/proc/%.20s/stat", e->d_name);
            int fd = open(f, O_RDONLY);
            if (fd < 0) continue;
            int r = read(fd, b, sizeof b - 1);
            close(fd);
            if (r <= 0) continue;
            b[r] = 0;
            char *q = strrchr(b, ')');
            if (!q) continue;
            pid[n] = atol(e->d_name);
            pp[n] = atol(q + 4);
            n++;
        }
    closedir(d);
    out[k++] = root;
    for (int i = 0; i < k; i++)
        for (int j = 0; j < n; j++)
            if (pp[j] == out[i] && k < max) {
                int dup = 0;
                for (int x = 0; x < k; x++) dup |= out[x] == pid[j];
                if (!dup) out[k++] = pid[j];
            }
    return k;
}
typedef struct {
    u64 cpu_ns, ut, st, rss, pss;
    int procs, threads;
} pstat;
static pstat server_stat(int mem) {
    pstat s = {0};
    if (!o_pid) return s;
    long p[256];
    s.procs = tree(o_pid, p, 256);
    for (int i = 0; i < s.procs; i++) {
        char f[128], b[1024];
        int fd, r;
        snprintf(f, sizeof f, "/proc/%ld/task", p[i]);
        DIR *d = opendir(f);
        struct dirent *e;
        if (d) {
            while ((e = readdir(d)))
                if (isdigit(e->d_name[0])) {
                    snprintf(f, sizeof f, "/proc/%ld/task/%.20s/schedstat", p[i], e->d_name);
                    fd = open(f, O_RDONLY);
                    if (fd < 0) continue;
                    r = read(fd, b, sizeof b - 1);
                    close(fd);
                    if (r > 0) {
                        b[r] = 0;
                        s.cpu_ns += strtoull(b, 0, 10);
                        s.threads++;
                    }
                }
            closedir(d);
        }
        snprintf(f, sizeof f, "/proc/%ld/stat", p[i]);
        fd = open(f, O_RDONLY);
        if (fd >= 0) {
            r = read(fd, b, sizeof b - 1);
            close(fd);
            if (r > 0) {
                b[r] = 0;
                char *q = strrchr(b, ')');
                unsigned long long u, k;
                if (q && sscanf(q + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &u,
                                &k) == 2)
                    s.ut += u, s.st += k;
            }
        }
        if (mem) {
            snprintf(f, sizeof f, "/proc/%ld/statm", p[i]);
            fd = open(f, O_RDONLY);
            if (fd >= 0) {
                r = read(fd, b, sizeof b - 1);
                close(fd);
                unsigned long long a, c;
                b[r > 0 ? r : 0] = 0;
                if (sscanf(b, "%llu %llu", &a, &c) == 2) s.rss += c * sysconf(_SC_PAGESIZE);
            }
            snprintf(f, sizeof f, "/proc/%ld/smaps_rollup", p[i]);
            FILE *g = fopen(f, "r");
            if (g) {
                while (fgets(b, sizeof b, g)) {
                    unsigned long long v;
                    if (sscanf(b, "Pss: %llu", &v) == 1) s.pss += v * 1024;
                }
                fclose(g);
            }
        }
    }
    return s;
}
