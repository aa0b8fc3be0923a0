// protocol.h - RFC 6455 as a strict client sees it: opening handshake and server frames.
#pragma once
#include <strings.h>

#include "http.h"
#include "load.h"

// Parse frames in [p, p + n); returns bytes consumed, or -1 when the connection was dropped.
// `*need` is the size of the next frame when it has not come whole.
static ssize_t parse(conn *c, const u8 *p, size_t n, u64 now, size_t *need) {
    size_t o = 0;
    *need = 0;
    while (n - o >= 2) {
        const u8 *f = p + o;
        size_t h = 2;
        u64 l = f[1] & 127;
        if (f[1] & 128) {
            proto_err++;
            errno = 0;
            fail(c, "masked server frame");
            return -1;
        }
        if (f[0] & 0x70) {
            proto_err++;
            errno = 0;
            fail(c, "RSV bit set without extension");
            return -1;
        }
        if (l == 126) {
            if (n - o < 4) break;
            l = f[2] << 8 | f[3];
            h = 4;
        } else if (l == 127) {
            if (n - o < 10) break;
            l = 0;
            for (int i = 0; i < 8; i++) l = l << 8 | f[2 + i];
            h = 10;
        }
        if (l > (256u << 20)) {
            proto_err++;
            errno = 0;
            fail(c, "frame too large");
            return -1;
        }
        if (n - o < h + l) {
            *need = h + l;
            break;
        }
        int op = f[0] & 15, fin = f[0] & 128;
        const u8 *d = f + h;
        o += h + l;
        if (op >= 8) {
            if (op == 9) {
                pings++;
                frame(c, 10, d, l, NULL, 0);
                flush(c);
            } else if (op == 8) {
                if (c->state == S_CLOSING) {
                    c_done++;
                    drop(c);
                    return -1;
                }
                errno = 0;
                char m[64];
                snprintf(m, sizeof m, "server closed, code %d", l >= 2 ? d[0] << 8 | d[1] : 0);
                fail(c, m);
                return -1;
            }
            if (c->state == S_DONE) return -1;
            continue;
        }
        if (op && fin && !c->mop) {
            on_msg(c, d, l, op, now);
            if (c->state == S_DONE) return -1;
            continue;
        }
        if (op && c->mop) {
            proto_err++;
            errno = 0;
            fail(c, "new message inside fragments");
            return -1;
        }
        if (!op && !c->mop) {
            proto_err++;
            errno = 0;
            fail(c, "stray continuation");
            return -1;
        }
        if (op) c->mop = op, c->ml = 0;
        if (c->ml + l > c->mc) {
            c->mc = (c->ml + l) * 2;
            c->mb = xrealloc(c->mb, c->mc);
        }
        memcpy(c->mb + c->ml, d, l);
        c->ml += l;
        if (fin) {
            int m = c->mop;
            c->mop = 0;
            on_msg(c, c->mb, c->ml, m, now);
            if (c->state == S_DONE) return -1;
        }
    }
    return o;
}
static const char *hdr_find(const char *h, const char *name, size_t *len) {
    size_t k = strlen(name);
    for (const char *p = h; (p = strstr(p, "\r\n"));) {
        p += 2;
        if (!strncasecmp(p, name, k) && p[k] == ':') {
            p += k + 1;
            while (*p == ' ' || *p == '\t') p++;
            const char *e = strstr(p, "\r\n");
            *len = e - p;
            while (*len && (p[*len - 1] == ' ' || p[*len - 1] == '\t')) --*len;
            return p;
        }
    }
    return NULL;
}
// Returns bytes consumed, 0 while the response is not whole, -1 when the connection was dropped.
static ssize_t handshake(conn *c, u8 *p, size_t n, u64 now) {
    u8 *e = memmem(p, n, "\r\n\r\n", 4);
    if (!e) {
        if (n > 16384) {
            errno = 0;
            fail(c, "handshake too long");
            return -1;
        }
        return 0;
    }
    size_t hl = e + 4 - p;
    char b[16500];
    if (hl >= sizeof b) {
        errno = 0;
        fail(c, "handshake too long");
        return -1;
    }
    memcpy(b, p, hl);
    b[hl] = 0;
    size_t l;
    const char *v;
    if (strncmp(b, "HTTP/1.1 101", 12)) {
        b[60] = 0;
        errno = 0;
        char m[120];
        snprintf(m, sizeof m, "handshake refused: %.40s", b);
        fail(c, m);
        return -1;
    }
    if (!(v = hdr_find(b, "Sec-WebSocket-Accept", &l)) || l != 28 || memcmp(v, c->accept, 28)) {
        proto_err++;
        errno = 0;
        fail(c, "bad Sec-WebSocket-Accept");
        return -1;
    }
    if (!(v = hdr_find(b, "Upgrade", &l)) || strncasecmp(v, "websocket", 9)) {
        proto_err++;
        errno = 0;
        fail(c, "no Upgrade header");
        return -1;
    }
    if (hdr_find(b, "Sec-WebSocket-Extensions", &l)) {
        proto_err++;
        errno = 0;
        fail(c, "extension never offered");
        return -1;
    }
    c->state = S_OPEN;
    n_open++;
    n_inprog--;
    h_add(&HC, now - c->t0);
    if (g_conn_mode) {
        send_close(c);
        c->state = S_CLOSING;
        n_open--;
        if (flush(c) < 0) return -1;
        return hl;
    }
    if (o_join) {
        u8 j[8192];
        size_t k = expand(o_join, c, 0, now, j, sizeof j, 0);
        frame(c, 1, j, k, NULL, 0);
        if (flush(c) < 0) return -1;
    }
    c->skip = o_skip;
    if (!c->skip) mark_ready(c);
    return hl;
}
static void ask_for_upgrade(conn *c) {
    u8 key[16];
    u64 r1 = rng(), r2 = rng();
    memcpy(key, &r1, 8);
    memcpy(key + 8, &r2, 8);
    char k64[32], t[80];
    b64(key, 16, k64);
    int n = sprintf(t, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", k64);
    u8 dg[20];
    sha1((u8 *)t, n, dg);
    b64(dg, 20, c->accept);
    char path[1024];
    size_t pl = expand(o_path, c, 0, 0, (u8 *)path, sizeof path, 0);
    path[pl] = 0;
    char hd[8192];
    size_t hl = o_hlen ? expand(o_hdrs, c, 0, 0, (u8 *)hd, sizeof hd, 0) : 0;
    hd[hl] = 0;
    const char *cookie = cookie_count ? cookies[c->id % cookie_count] : "";
    w_need(c, 1024 + pl + hl + strlen(cookie));
    c->wl += sprintf(
        (char *)c->wb + c->wl,
        "GET %s HTTP/1.1\r\nHost: %s:%d\r\nConnection: Upgrade\r\nUpgrade: "
        "websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s%s%s%s%s%s%s\r\n",
        path, o_host, o_port, k64, o_proto ? "Sec-WebSocket-Protocol: " : "",
        o_proto ? o_proto : "", o_proto ? "\r\n" : "", cookie_count ? "Cookie: " : "", cookie,
        cookie_count ? "\r\n" : "", hd);
}
static void start(conn *c) {
    c->state = S_CONNECTING;
    c->ready = c->wantout = c->mop = 0;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    n_inprog++;
    c_started++;
    if (c->fd < 0) {
        fail(c, "socket");
        return;
    }
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct sockaddr_in a = {.sin_family = AF_INET};
    if (o_srcs > 0) {
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        a.sin_addr.s_addr = htonl(0x7f000002u + (u32)((c_started) % o_srcs));
        if (bind(c->fd, (void *)&a, sizeof a)) {
            fail(c, "bind");
            return;
        }
    }
    a.sin_addr.s_addr = inet_addr(o_host);
    a.sin_port = htons(o_port);
    c->t0 = now_ns();
    if (connect(c->fd, (void *)&a, sizeof a) && errno != EINPROGRESS) {
        fail(c, "connect");
        return;
    }
    if (!g_http) ask_for_upgrade(c);
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    c->wantout = 1;
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
}