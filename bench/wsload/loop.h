// loop.h - sockets in, sockets out: one epoll set.
#pragma once
#include <sys/resource.h>

#include "protocol.h"

static void on_read(conn *c) {
    for (;;) {
        u8 *buf;
        size_t room;
        int own = c->rl > 0;
        if (own) {
            if (c->rc - c->rl < 4096) {
                c->rc = c->rc * 2 + 16384;
                c->rb = xrealloc(c->rb, c->rc);
            }
            buf = c->rb + c->rl;
            room = c->rc - c->rl;
        } else
            buf = sbuf, room = SB;
        ssize_t r = recv(c->fd, buf, room, 0);
        if (r < 0) {
            if (errno == EAGAIN) return;
            if (errno == EINTR) continue;
            if (c->state == S_CLOSING) {
                eof_noclose++;
                c_done++;
                drop(c);
                return;
            }
            fail(c, "recv");
            return;
        }
        if (r == 0) {
            if (c->state == S_CLOSING) {
                eof_noclose++;
                c_done++;
                drop(c);
                return;
            }
            errno = 0;
            fail(c, "server EOF");
            return;
        }
        if (g_meas) g_recvs++, g_bytes += r;
        u64 now = now_ns();
        u8 *p;
        size_t n;
        if (own)
            c->rl += r, p = c->rb, n = c->rl;
        else
            p = sbuf, n = r;
        size_t used = 0, need = 0;
        if (c->state == S_HANDSHAKE) {
            ssize_t k = handshake(c, p, n, now);
            if (k < 0) return;
            used = k;
        }
        if (c->state == S_OPEN || c->state == S_CLOSING) {
            ssize_t k =
                g_http ? responses(c, p, n, now, &need) : parse(c, p + used, n - used, now, &need);
            if (k < 0) return;
            used += k;
        }
        size_t left = n - used;
        if (left) {
            if (need + 64 > c->rc || left + 4096 > c->rc) {
                size_t cap = (need > left + 4096 ? need : left + 4096) + 4096;
                if (own) {
                    memmove(c->rb, p + used, left);
                    c->rb = xrealloc(c->rb, cap);
                } else {
                    c->rb = xrealloc(c->rb, cap);
                    memcpy(c->rb, p + used, left);
                }
                c->rc = cap;
            } else
                memmove(c->rb, p + used, left);
            c->rl = left;
        } else {
            c->rl = 0;
            if (c->rc > (1 << 16) && o_size < 4096) {
                free(c->rb);
                c->rb = 0;
                c->rc = 0;
            }
        }
        if (c->wl > c->wo && !c->wantout && !c->dirty) {
            if (flush(c) < 0) return;
        }
        if ((size_t)r < room) return;
    }
}
static void on_event(conn *c, u32 ev) {
    if (c->state == S_DONE || c->state == S_NONE) return;
    if (c->state == S_CONNECTING) {
        if (ev & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
            int e = 0;
            socklen_t l = sizeof e;
            getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &l);
            if (e) {
                errno = e;
                fail(c, "connect");
                return;
            }
            if (g_http) {
                c->state = S_OPEN;
                n_open++;
                n_inprog--;
                h_add(&HC, now_ns() - c->t0);
                mark_ready(c);
            } else
                c->state = S_HANDSHAKE;
            flush(c);
        }
        return;
    }
    if (ev & EPOLLOUT) {
        if (flush(c) < 0) return;
    }
    if (ev & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_read(c);
}
static void flush_dirty(void) {
    for (int i = 0; i < ndirty; i++) {
        conn *c = dirty[i];
        c->dirty = 0;
        if (c->state == S_OPEN && !c->wantout) flush(c);
    }
    ndirty = 0;
}
static void poll_once(u64 timeout_ns) {
    flush_dirty(); // publishes queued outside of the event loop must leave before we sleep
    static struct epoll_event ev[1024];
    struct timespec ts = {timeout_ns / 1000000000ull, timeout_ns % 1000000000ull};
    if (o_spin) ts.tv_sec = ts.tv_nsec = 0;
    int n = epoll_pwait2(ep, ev, 1024, &ts, NULL);
    for (int i = 0; i < n; i++) on_event(ev[i].data.ptr, ev[i].events);
    flush_dirty();
}
static void run_until(u64 end) {
    for (u64 n; (n = now_ns()) < end;) {
        poll_once(end - n > 20000000 ? 20000000 : end - n);
    }
}
static void open_all(void) {
    u64 end = now_ns() + (u64)(o_ctimeout * 1e9);
    int i = 0, spin = o_spin;
    o_spin = 0;
    while (now_ns() < end && (i < NC || n_inprog > 0 || n_ready < n_open)) {
        while (i < NC && n_inprog < o_concur) start(&C[i++]);
        poll_once(5000000);
        if (errors > 200) break;
    }
    o_spin = spin;
    if (n_ready < NC) err("only %d of %d connections became ready", n_ready, NC);
}
static u64 cli_cpu(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (u64)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000000ull +
           (r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1000ull;
}
