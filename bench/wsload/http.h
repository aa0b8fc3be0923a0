// http.h - JSON GETs on keep-alive connections: status, type, length and body of every response.
#pragma once
#include "client.h"

static const char *hdr_find(const char *h, const char *name, size_t *len);

static void http_send(conn *c, u64 now) {
    static char request[10240];
    static size_t size;
    if (!size) {
        int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s:%d\r\n%.*s\r\n",
                         o_path, o_host, o_port, (int)o_hlen, o_hdrs);
        if (n < 0 || (size_t)n >= sizeof request) die("request too long");
        size = (size_t)n;
    }
    w_need(c, size);
    memcpy(c->wb + c->wl, request, size);
    c->wl += size;
    c->st[c->sent++ % o_inflight] = now;
}

static int http_wrong(conn *c, const char *why) {
    proto_err++;
    errno = 0;
    fail(c, why);
    return -1;
}

// A head that has been checked once is known again by its bytes; only a new one (the date moves
// each second) is read. Returns 0, or -1 when the connection was dropped.
static int http_head(conn *c, const u8 *p, size_t n) {
    static u8 known[4096];
    static size_t known_size;
    if (n == known_size && !memcmp(p, known, n)) return 0;
    char b[sizeof known + 1], why[120];
    if (n > sizeof known) return http_wrong(c, "response head too long");
    memcpy(b, p, n);
    b[n] = 0;
    size_t l;
    const char *v;
    if (strncmp(b, "HTTP/1.1 200 ", 13)) {
        snprintf(why, sizeof why, "status of a response: %.40s", b);
        return http_wrong(c, why);
    }
    v = hdr_find(b, "Content-Type", &l);
    if (!v || strncasecmp(v, "application/json", 16)) return http_wrong(c, "not JSON by its type");
    v = hdr_find(b, "Content-Length", &l);
    if (!v) return http_wrong(c, "response without a length");
    if (strtoull(v, NULL, 10) != strlen(o_body)) return http_wrong(c, "length of a body");
    v = hdr_find(b, "Connection", &l);
    if (v && !strncasecmp(v, "close", 5)) return http_wrong(c, "connection is not kept alive");
    memcpy(known, p, n);
    known_size = n;
    return 0;
}

// Read the responses in [p, p + n); returns bytes consumed, or -1 when the connection was dropped.
static ssize_t responses(conn *c, const u8 *p, size_t n, u64 now, size_t *need) {
    size_t o = 0, body = strlen(o_body);
    *need = 0;
    while (o < n) {
        const u8 *e = memmem(p + o, n - o, "\r\n\r\n", 4);
        if (!e) {
            if (n - o > 4096) return http_wrong(c, "response head too long");
            break;
        }
        size_t head = (size_t)(e + 4 - (p + o));
        if (http_head(c, p + o, head) < 0) return -1;
        if (n - o < head + body) {
            *need = head + body;
            break;
        }
        if (c->rcvd >= c->sent) return http_wrong(c, "response that nobody asked for");
        if (memcmp(p + o + head, o_body, body)) {
            content_err++;
            err("conn %d: wrong body: %.*s", c->id, (int)body, p + o + head);
        }
        checked++;
        o += head + body;
        u32 s = c->rcvd++;
        if (g_meas) {
            g_msgs++;
            h_add(&H, now - c->st[s % o_inflight]);
        }
        if (g_run) http_send(c, now);
    }
    return (ssize_t)o;
}
