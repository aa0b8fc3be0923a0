// base.h - what the load generator and the ceiling share: types, clock, SHA-1 and base64 (RFC 6455
// section 4.2.2). Each program is one translation unit, so everything is static.
#pragma once
#include <stdint.h>
#include <string.h>
#include <time.h>

typedef uint64_t u64;
typedef uint32_t u32;
typedef uint8_t u8;

static u64 now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void sha1(const u8 *d, size_t n, u8 out[20]) {
    u32 h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    u8 m[256];
    memset(m, 0, sizeof m);
    memcpy(m, d, n);
    m[n] = 0x80;
    size_t tot = ((n + 8) / 64 + 1) * 64;
    u64 bits = n * 8;
    for (int i = 0; i < 8; i++) m[tot - 1 - i] = bits >> (8 * i);
    for (size_t o = 0; o < tot; o += 64) {
        u32 w[80], a = h[0], b = h[1], c = h[2], e = h[4], dd = h[3];
        for (int i = 0; i < 16; i++)
            w[i] = (u32)m[o + 4 * i] << 24 | m[o + 4 * i + 1] << 16 | m[o + 4 * i + 2] << 8 |
                   m[o + 4 * i + 3];
        for (int i = 16; i < 80; i++) {
            u32 x = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];
            w[i] = x << 1 | x >> 31;
        }
        for (int i = 0; i < 80; i++) {
            u32 f, k;
            if (i < 20)
                f = (b & c) | (~b & dd), k = 0x5A827999;
            else if (i < 40)
                f = b ^ c ^ dd, k = 0x6ED9EBA1;
            else if (i < 60)
                f = (b & c) | (b & dd) | (c & dd), k = 0x8F1BBCDC;
            else
                f = b ^ c ^ dd, k = 0xCA62C1D6;
            u32 t = (a << 5 | a >> 27) + f + e + k + w[i];
            e = dd;
            dd = c;
            c = b << 30 | b >> 2;
            b = a;
            a = t;
        }
        h[0] += a;
        h[1] += b;
        h[2] += c;
        h[3] += dd;
        h[4] += e;
    }
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 4; j++) out[4 * i + j] = h[i] >> (24 - 8 * j);
}
static void b64(const u8 *d, int n, char *o) {
    static const char T[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    int k = 0;
    for (int i = 0; i < n; i += 3) {
        u32 v = d[i] << 16 | (i + 1 < n ? d[i + 1] << 8 : 0) | (i + 2 < n ? d[i + 2] : 0);
        o[k++] = T[v >> 18];
        o[k++] = T[v >> 12 & 63];
        o[k++] = i + 1 < n ? T[v >> 6 & 63] : '=';
        o[k++] = i + 2 < n ? T[v & 63] : '=';
    }
    o[k] = 0;
}
