// client.h - options, random numbers, histogram, connections and their buffers.
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "account.h"
#include "base.h"

// ------------------------------------------------------------------ options
static const char *o_mode = "echo", *o_host = "127.0.0.1", *o_path = "/echo", *o_label = "";
static const char *o_join = NULL, *o_payload = "{\"n\":%n,\"t\":%t,\"m\":\"%s\"}", *o_proto = NULL;
static const char *o_body = "{\"message\":\"Hello, World!\"}"; // of an HTTP response
static int o_port = 9000, o_conns = 1, o_inflight = 1, o_pubs = 1, o_pub_is_sub = 1, o_pub_recv = 1;
static int o_window = 8, o_groups = 1, o_skip = 0, o_srcs = 0, o_spin = 0, o_binary = 0,
           o_multi = 0;
static int o_concur = 64, o_sample = 16, o_settle_ms = 200, o_touch = 0, o_hold_ms = 1500,
           o_maxconn = 19500;
static size_t o_size = 64;
static double o_secs = 3, o_warm = 0.7, o_rate = 0, o_drain = 5, o_ctimeout = 60;
static long o_total = 20000;
static const char *o_cookies = NULL; // file of Cookie values, one a line; connection i has line i
static char o_hdrs[8192];
static size_t o_hlen = 0;
static void die(const char *f, ...) {
    va_list a;
    va_start(a, f);
    fprintf(stderr, "wsload: ");
    vfprintf(stderr, f, a);
    fputc('\n', stderr);
    va_end(a);
    exit(2);
}
static void *xrealloc(void *p, size_t n) {
    p = realloc(p, n);
    if (!p) die("out of memory");
    return p;
}
static u64 rng_s = 88172645463325252ull;
static inline u64 rng(void) {
    u64 x = rng_s;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    rng_s = x;
    return x * 2685821657736338717ull;
}

// ------------------------------------------------------------------ histogram
// log-linear, 64 sub-buckets, at most 1.6 % off
#define HN 3800
typedef struct {
    u64 b[HN], n, max, min;
    double sum;
} hist;
static inline void h_add(hist *h, u64 v) {
    int e = v ? 63 - __builtin_clzll(v) : 0, sh = e > 6 ? e - 6 : 0;
    u32 i = sh * 64 + (u32)(v >> sh);
    if (i >= HN) i = HN - 1;
    h->b[i]++;
    h->n++;
    h->sum += v;
    if (v > h->max) h->max = v;
    if (!h->min || v < h->min) h->min = v;
}
static double h_q(hist *h, double q) { // microseconds
    if (!h->n) return 0;
    u64 want = (u64)(q * h->n + 0.999999), c = 0;
    if (want < 1) want = 1;
    for (int i = 0; i < HN; i++) {
        c += h->b[i];
        if (c >= want) {
            int sh = i < 128 ? 0 : i / 64 - 1;
            u64 v = ((u64)(i - sh * 64) << sh) + ((1ull << sh) >> 1);
            if (v > h->max) v = h->max;
            return v / 1000.0;
        }
    }
    return h->max / 1000.0;
}
static void h_json(hist *h, const char *name) {
    printf("\"%s\":{\"n\":%llu,\"min\":%.1f,\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,"
           "\"p999\":%.1f,\"max\":%.1f}",
           name, (unsigned long long)h->n, h->min / 1000.0, h->n ? h->sum / h->n / 1000.0 : 0,
           h_q(h, .5), h_q(h, .9), h_q(h, .99), h_q(h, .999), h->max / 1000.0);
}
static hist H, HC; // message latency, handshake latency

// ------------------------------------------------------------------ connections
enum { S_NONE, S_CONNECTING, S_HANDSHAKE, S_OPEN, S_CLOSING, S_DONE };
typedef struct conn {
    int fd, id;
    u8 state, ready, wantout, dirty, mop, isrecv;
    int skip, group, pub;
    char accept[32];
    u8 *rb;
    size_t rl, rc;
    u8 *wb;
    size_t wl, wo, wc;
    u8 *mb;
    size_t ml, mc;
    u32 sent, rcvd;
    u64 *st;
    u32 *next;
    u64 t0;
} conn;
static conn *C;
static char **cookies; // of o_cookies
static long cookie_count;
static int NC, ep, n_open, n_ready, n_inprog, g_run, g_meas, g_conn_mode, g_http;
static u64 errors, proto_err, content_err, lost, dupl, reord, other_msgs, closed_early, eof_noclose,
    g_msgs, g_deliv, g_recvs, g_bytes, checked, pings;
static char first_err[160];
static long c_done, c_started;
static u8 *sbuf;
static const size_t SB = 1 << 20;
static u8 filler[8192 + (1 << 13)];
// fanout
static int P, R[65536];
static u64 *pub_seq;
static u32 **rem;
static u32 RING = 65536;
static u64 *pub_done;
static u64 published, overrun;
static conn **dirty;
static int ndirty;

static void err(const char *f, ...) {
    errors++;
    if (!first_err[0]) {
        va_list a;
        va_start(a, f);
        vsnprintf(first_err, sizeof first_err, f, a);
        va_end(a);
        for (char *p = first_err; *p; p++)
            if (*p == '"' || *p == '\\' || (u8)*p < 32) *p = '\'';
    }
}
static void ep_mod(conn *c, int out) {
    struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
    c->wantout = out;
}
static void w_need(conn *c, size_t n) {
    if (c->wo && c->wo == c->wl) c->wo = c->wl = 0;
    if (c->wl + n > c->wc) {
        if (c->wo) {
            memmove(c->wb, c->wb + c->wo, c->wl - c->wo);
            c->wl -= c->wo;
            c->wo = 0;
        }
        if (c->wl + n > c->wc) {
            c->wc = (c->wl + n) * 3 / 2 + 256;
            c->wb = xrealloc(c->wb, c->wc);
        }
    }
}
static void drop(conn *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    if (c->state == S_OPEN) n_open--;
    if (c->state == S_CONNECTING || c->state == S_HANDSHAKE) n_inprog--;
    if (c->ready) n_ready--, c->ready = 0;
    c->state = S_DONE;
    free(c->rb);
    free(c->wb);
    free(c->mb);
    c->rb = c->wb = c->mb = 0;
    c->rl = c->rc = c->wl = c->wo = c->wc = c->ml = c->mc = 0;
}
static void fail(conn *c, const char *why) {
    err("conn %d: %s (errno %s)", c->id, why, errno ? strerror(errno) : "-");
    if (c->state == S_OPEN) closed_early++;
    drop(c);
}
static int flush(conn *c) {
    while (c->wo < c->wl) {
        ssize_t r = send(c->fd, c->wb + c->wo, c->wl - c->wo, MSG_NOSIGNAL);
        if (r > 0)
            c->wo += r;
        else if (r < 0 && errno == EAGAIN) {
            if (!c->wantout) ep_mod(c, 1);
            return 0;
        } else if (r < 0 && errno == EINTR)
            continue;
        else {
            fail(c, "send");
            return -1;
        }
    }
    c->wo = c->wl = 0;
    if (c->wantout) ep_mod(c, 0);
    if (c->wc > (1 << 16) && o_size < 4096) {
        free(c->wb);
        c->wb = 0;
        c->wc = 0;
    }
    return 0;
}
// append one masked frame; payload = up to two pieces
static void frame(conn *c, int op, const u8 *a, size_t na, const u8 *b, size_t nb) {
    size_t n = na + nb;
    w_need(c, n + 14);
    u8 *w = c->wb + c->wl;
    int h;
    w[0] = 0x80 | op;
    if (n < 126)
        w[1] = 0x80 | n, h = 2;
    else if (n < 65536)
        w[1] = 0x80 | 126, w[2] = n >> 8, w[3] = n, h = 4;
    else {
        w[1] = 0x80 | 127;
        for (int i = 0; i < 8; i++) w[2 + i] = (u64)n >> (56 - 8 * i);
        h = 10;
    }
    u32 m = (u32)(rng() >> 16);
    memcpy(w + h, &m, 4);
    w += h + 4;
    u8 mk[4];
    memcpy(mk, &m, 4);
    for (size_t i = 0; i < na; i++) w[i] = a[i] ^ mk[i & 3];
    w += na;
    u8 r[4];
    for (int i = 0; i < 4; i++) r[i] = mk[(na + i) & 3];
    u64 m8;
    memcpy(&m8, r, 4);
    memcpy((u8 *)&m8 + 4, r, 4);
    size_t i = 0;
    for (; i + 8 <= nb; i += 8) {
        u64 x;
        memcpy(&x, b + i, 8);
        x ^= m8;
        memcpy(w + i, &x, 8);
    }
    for (; i < nb; i++) w[i] = b[i] ^ r[i & 3];
    c->wl += h + 4 + n;
}
// template expansion: %n number, %t nanoseconds, %s padding, %d connection, %g group
static size_t expand(const char *t, conn *c, u64 n, u64 ts, u8 *out, size_t cap, size_t pad_to) {
    size_t k = 0, padpos = (size_t)-1;
    for (; *t && k + 32 < cap; t++) {
        if (*t == '%') {
            t++;
            if (*t == 'd')
                k += sprintf((char *)out + k, "%d", c->id);
            else if (*t == 'g')
                k += sprintf((char *)out + k, "%d", c->group);
            else if (*t == 'n')
                k += sprintf((char *)out + k, "%llu", (unsigned long long)n);
            else if (*t == 't')
                k += sprintf((char *)out + k, "%llu", (unsigned long long)ts);
            else if (*t == 's')
                padpos = k;
            else if (*t == '%')
                out[k++] = '%';
            else {
                out[k++] = '%';
                out[k++] = *t;
            }
        } else
            out[k++] = *t;
    }
    if (padpos != (size_t)-1 && k < pad_to && pad_to < cap) {
        size_t p = pad_to - k;
        memmove(out + padpos + p, out + padpos, k - padpos);
        for (size_t i = 0; i < p; i += 4096)
            memcpy(out + padpos + i, filler + (n & 63), p - i < 4096 ? p - i : 4096);
        k = pad_to;
    }
    return k;
}