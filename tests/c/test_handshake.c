/* Sec-WebSocket-Accept and the key in a head. */
#include "flin_handshake.h"

#include <string.h>

#include "flin_test.h"

static void check_accept(const char *key, const char *expected) {
    uint8_t accept[FLIN_HANDSHAKE_ACCEPT_SIZE];
    FLIN_CHECK(flin_handshake_key_is_valid((const uint8_t *)key));
    flin_handshake_accept((const uint8_t *)key, accept);
    FLIN_CHECK(memcmp(accept, expected, sizeof accept) == 0);
}

static void accept_is_that_of_the_rfc(void) {
    check_accept("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); /* 1.3 */
    check_accept("AAAAAAAAAAAAAAAAAAAAAA==", "ICX+Yqv66kxgM0FcWaLWlFLwTAI=");
    check_accept("/////////////////////w==", "XXpj4jYzLM2yUE0C7TIgMwTQh2g=");
}

static void every_wrong_character_is_found(void) {
    char key[] = "dGhlIHNhbXBsZSBub25jZQ==";
    for (unsigned at = 0; at < FLIN_HANDSHAKE_KEY_SIZE; at++) {
        char good = key[at];
        unsigned valid = 0;
        for (unsigned byte = 0; byte < 256; byte++) {
            key[at] = (char)byte;
            valid += flin_handshake_key_is_valid((const uint8_t *)key);
        }
        FLIN_CHECK_EQ(valid, at < 22 ? 64 : 1);
        key[at] = good;
    }
}

static size_t find(const char *head, size_t *end) {
    return flin_handshake_find_key((const uint8_t *)head, strlen(head), end);
}

static void key_is_found_in_whole_heads_only(void) {
    static const char HEAD[] =
        "GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nA: b\r\n"
        "\r\nearly";
    size_t end = 0, whole = sizeof HEAD - 1 - strlen("early");
    FLIN_CHECK_EQ(find(HEAD, &end), 35);
    FLIN_CHECK_EQ(end, whole);
    for (size_t size = 0; size < whole; size++) {
        uint8_t *copy = malloc(size + 1); /* the sanitizer sees what is read behind it */
        memcpy(copy, HEAD, size);
        FLIN_CHECK_EQ(flin_handshake_find_key(copy, size, &end), 0);
        free(copy);
    }
    FLIN_CHECK_EQ(find("GET / HTTP/1.1\r\nSec-WebSocket-Key: short\r\n\r\n", &end), 0);
    FLIN_CHECK_EQ(find("GET / HTTP/1.1\r\nSec-WebSocket-Key: \r\n\r\n", &end), 0);
    FLIN_CHECK_EQ(
        find("GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ== \r\n\r\n", &end), 0);
    FLIN_CHECK_EQ(find("GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nSec-WebSocket-Key: "
                       "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                       &end),
                  0); /* behind the head */
}

static void head_repeats_with_any_valid_key(void) {
    static const char HEAD[] =
        "GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nA: b\r\n\r\nearly";
    static const char REST[] = "GET / HTTP/1.1\r\nSec-WebSocket-Key: \r\nA: b\r\n\r\n";
    const uint8_t *rest = (const uint8_t *)REST;
    size_t rest_size = sizeof REST - 1, whole = rest_size + FLIN_HANDSHAKE_KEY_SIZE;
    for (size_t size = 0; size <= sizeof HEAD - 1; size++) {
        uint8_t *copy = malloc(size + 1);
        memcpy(copy, HEAD, size);
        FLIN_CHECK_EQ(flin_handshake_repeats(copy, size, rest, rest_size, 35), size >= whole);
        for (size_t i = 0; size >= whole && i < size; i++) {
            bool is_key = i >= 35 && i < 35 + 22;
            copy[i] = is_key ? 'q' : '*';
            FLIN_CHECK_EQ(flin_handshake_repeats(copy, size, rest, rest_size, 35),
                          is_key || i >= whole);
            copy[i] = (uint8_t)HEAD[i];
        }
        free(copy);
    }
}

int main(void) {
    FLIN_RUN(head_repeats_with_any_valid_key);
    FLIN_RUN(accept_is_that_of_the_rfc);
    FLIN_RUN(every_wrong_character_is_found);
    FLIN_RUN(key_is_found_in_whole_heads_only);
    return flin_test_end();
}
