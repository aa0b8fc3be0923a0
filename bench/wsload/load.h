// load.h - what is sent and how answers are judged: echo (order, length, content) and fan-out
// (every number of every publisher once and in order, at every member).
#pragma once
#include "client.h"

// ---- echo
static size_t ehdr(conn *c, u32 seq, u8 *h) {
    if (o_size < 16) return 0;
    static const char X[] = "0123456789abcdef";
    u32 a = c->id;
    for (int i = 7; i >= 0; i--) h[i] = X[a & 15], a >>= 4;
    for (int i = 15; i >= 8; i--) h[i] = X[seq & 15], seq >>= 4;
    return 16;
}
static u8 *bigfill;
static void echo_send(conn *c, u64 now) {
    u8 h[16];
    size_t n = ehdr(c, c->sent, h);
    c->st[c->sent % o_inflight] = now;
    frame(c, o_binary ? 2 : 1, h, n, bigfill + (c->sent * 7 & 1023), o_size - n);
    c->sent++;
}
static void echo_msg(conn *c, const u8 *p, size_t n, int op, u64 now) {
    u32 s = c->rcvd++;
    if (s >= c->sent) {
        proto_err++;
        err("conn %d: unexpected message", c->id);
        return;
    }
    if (n != o_size || op != (o_binary ? 2 : 1)) {
        content_err++;
        err("conn %d: echo length %zu/%zu or opcode %d", c->id, n, o_size, op);
    } else {
        u8 h[16];
        size_t k = ehdr(c, s, h);
        if (k && memcmp(p, h, k)) {
            content_err++;
            err("conn %d: echo header/order mismatch", c->id);
        }
        if (s % o_sample == 0) {
            checked++;
            if (memcmp(p + k, bigfill + (s * 7 & 1023), n - k)) {
                content_err++;
                err("conn %d: echo content mismatch", c->id);
            }
        }
    }
    if (g_meas) {
        g_msgs++;
        h_add(&H, now - c->st[s % o_inflight]);
    }
    if (g_run) echo_send(c, now);
}
// ---- fanout
static void mark_dirty(conn *c) {
    if (!c->dirty) {
        c->dirty = 1;
        dirty[ndirty++] = c;
    }
}
static int publish(int p, u64 ts) {
    static u8 *pb;
    if (!pb) pb = malloc(o_size + 8192);
    conn *c = &C[p];
    if (c->state != S_OPEN) return 0;
    u64 s = pub_seq[p];
    if (s - pub_done[p] >= RING) {
        overrun++;
        return 0;
    }
    size_t n = expand(o_payload, c, s * P + p, ts, pb, o_size + 8192, o_size);
    frame(c, o_binary ? 2 : 1, pb, n, NULL, 0);
    rem[p][s & (RING - 1)] = R[c->group];
    pub_seq[p]++;
    published++;
    mark_dirty(c);
    return 1;
}
static inline int num_at(const u8 *p, size_t n, size_t o, char ch, u64 *v, size_t *end) {
    if (o + 5 > n || p[o] != '"' || p[o + 1] != ch) return 0;
    size_t i = o + 2;
    if (p[i] == '\\') i++;
    if (p[i] != '"') return 0;
    i++;
    while (i < n && p[i] == ' ') i++;
    if (i >= n || p[i] != ':') return 0;
    i++;
    while (i < n && (p[i] == ' ' || p[i] == '"' || p[i] == '\\')) i++;
    u64 x = 0;
    size_t b = i;
    while (i < n && (u8)(p[i] - '0') < 10) x = x * 10 + (p[i++] - '0');
    if (i == b) return 0;
    *v = x;
    *end = i;
    return 1;
}
static inline int find_num(const u8 *p, size_t n, size_t from, char ch, size_t *cache, u64 *v,
                           size_t *end) {
    if (*cache >= from && num_at(p, n, *cache, ch, v, end)) return 1;
    for (size_t o = from; o + 5 <= n;) {
        const u8 *q = memchr(p + o, '"', n - o);
        if (!q) return 0;
        o = q - p;
        if (num_at(p, n, o, ch, v, end)) {
            *cache = o;
            return 1;
        }
        o++;
    }
    return 0;
}
static void fan_msg(conn *c, const u8 *p, size_t n, u64 now) {
    static size_t cn = 0, ct = 0;
    size_t from = 0;
    int any = 0;
    do {
        u64 num, ts;
        size_t e1, e2;
        if (!find_num(p, n, from, 'n', &cn, &num, &e1) || !find_num(p, n, from, 't', &ct, &ts, &e2))
            break;
        any = 1;
        from = e1 > e2 ? e1 : e2;
        if (!c->isrecv) continue;
        u32 pb = num % P;
        u64 s = num / P;
        if (s >= pub_seq[pb]) {
            proto_err++;
            err("conn %d: number %llu never published", c->id, (unsigned long long)num);
            continue;
        }
        u32 want = c->next[pb];
        if ((u32)s == want)
            c->next[pb]++;
        else if ((u32)s < want) {
            dupl++;
            err("conn %d: duplicate/late seq %u, wanted %u of publisher %u", c->id, (u32)s, want,
                pb);
            continue;
        } else {
            reord++;
            err("conn %d: gap, seq %u while wanting %u of publisher %u", c->id, (u32)s, want, pb);
            c->next[pb] = s + 1;
        }
        if (g_meas) {
            g_deliv++;
            h_add(&H, now > ts ? now - ts : 0);
        }
        u32 *r = &rem[pb][s & (RING - 1)];
        if (*r && --*r == 0) {
            pub_done[pb]++;
            if (g_meas) g_msgs++;
            if (g_run && !o_rate) publish(pb, now);
        }
    } while (o_multi && from < n);
    if (!any) other_msgs++;
}
static void mark_ready(conn *c) {
    if (!c->ready) {
        c->ready = 1;
        n_ready++;
    }
}
static void on_msg(conn *c, const u8 *p, size_t n, int op, u64 now) {
    if (!c->ready) {
        if (c->skip > 0 && --c->skip == 0) mark_ready(c);
        return;
    }
    if (o_mode[0] == 'e' || (o_mode[0] == 'i' && o_touch))
        echo_msg(c, p, n, op, now);
    else if (o_mode[0] == 'f')
        fan_msg(c, p, n, now);
    else
        other_msgs++;
}
static void send_close(conn *c) {
    u8 b[2] = {1000 >> 8, 1000 & 255};
    frame(c, 8, b, 2, NULL, 0);
}
// parse frames in [p,p+n); returns bytes consumed, -1 if the conn was dropped; *need = size wanted for the next frame