/**
 * Frames to feed and a log of what came out, for tests of the message state machine.
 */
#ifndef FLIN_TEST_STREAM_H
#define FLIN_TEST_STREAM_H

#include "flin_mask.h"
#include "flin_message.h"
#include "flin_test.h"

/** Bytes as a peer sends them; grows, aborts without memory. Zero is empty. */
typedef struct {
    uint8_t *data;
    size_t size;
    size_t capacity;
} test_bytes;

static inline void bytes_append(test_bytes *bytes, const void *data, size_t size) {
    if (bytes->size + size > bytes->capacity) {
        bytes->capacity = 2 * (bytes->size + size);
        bytes->data = realloc(bytes->data, bytes->capacity);
        if (!bytes->data) abort();
    }
    if (size > 0) memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

static inline void bytes_free(test_bytes *bytes) {
    free(bytes->data);
    *bytes = (test_bytes){0};
}

#define TEST_KEY 0x5AC3F00Du
#define TEST_FIN 0x80u
#define TEST_RSV1 0x40u

/* Append one masked frame; `first` is the whole first byte. */
static inline void stream_frame(test_bytes *stream, unsigned first, const void *payload,
                                size_t size) {
    uint8_t header[FLIN_FRAME_HEADER_MAX];
    size_t header_size =
        flin_frame_header_encode_masked(header, (flin_opcode)(first & 15u), (first & TEST_FIN) != 0,
                                        (first & TEST_RSV1) != 0, size, TEST_KEY);
    bytes_append(stream, header, header_size);
    size_t start = stream->size;
    bytes_append(stream, payload, size);
    if (size > 0) flin_mask_apply(stream->data + start, size, TEST_KEY, 0);
}

static inline void stream_text(test_bytes *stream, unsigned first, const char *payload) {
    stream_frame(stream, first, payload, strlen(payload));
}

#define TEST_LIMITS                                                                                \
    ((flin_message_limits){.message_bytes_max = 1u << 20,                                          \
                           .empty_fragments_max = FLIN_MESSAGE_EMPTY_FRAGMENTS_MAX,                \
                           .sender = FLIN_ROLE_CLIENT,                                             \
                           .allow_rsv1 = false})

/* Append an event to a log: what it is, its size and its bytes. */
static inline void log_event(test_bytes *log, const flin_message_event *event) {
    char line[64];
    int size = snprintf(line, sizeof line, "[%u%s %u %zu ", event->opcode,
                        event->rsv1 ? " rsv1" : "", event->close_code, event->size);
    bytes_append(log, line, (size_t)size);
    bytes_append(log, event->data, event->size);
    bytes_append(log, "]", 1);
}

/* What a state may hold after it asked for more (rule 2 of flin_message.h). */
static inline void check_bounds(const flin_message_state *state) {
    size_t held = state->size + FLIN_FRAME_CONTROL_MAX;
    size_t bound = 2 * held > FLIN_MESSAGE_ALLOC_MIN ? 2 * held : FLIN_MESSAGE_ALLOC_MIN;
    FLIN_CHECK(flin_message_held_bytes(state) <= bound);
    FLIN_CHECK(state->size + state->control_size <= flin_message_held_bytes(state));
    if (state->size + state->control_size == 0 && state->message_opcode == 0)
        FLIN_CHECK_EQ(flin_message_held_bytes(state), 0);
}

/* Feed one piece from a block that is freed right after; every event goes to the log. */
static inline flin_status feed_piece(flin_message_state *state, const uint8_t *data, size_t size,
                                     const flin_message_limits *limits, test_bytes *log) {
    uint8_t *copy = flin_test_copy(data, size);
    uint8_t *cursor = copy;
    flin_message_event event;
    flin_status status;
    while ((status = flin_message_next(state, &cursor, copy + size, limits, &event)) == FLIN_OK) {
        FLIN_CHECK(event.data || event.size == 0);
        log_event(log, &event);
    }
    if (status == FLIN_NEED_MORE) {
        FLIN_CHECK(cursor == copy + size);
        check_bounds(state);
    }
    free(copy);
    return status;
}

/* Feed a stream cut at the given ascending places; returns the status it ended with. */
static inline flin_status feed_cut(const test_bytes *stream, const size_t *cuts, size_t cut_count,
                                   const flin_message_limits *limits, test_bytes *log) {
    flin_message_state state;
    flin_message_init(&state);
    flin_status status = FLIN_NEED_MORE;
    size_t start = 0;
    for (size_t i = 0; i <= cut_count && status == FLIN_NEED_MORE; i++) {
        size_t end = i < cut_count ? cuts[i] : stream->size;
        status = feed_piece(&state, stream->data + start, end - start, limits, log);
        start = end;
    }
    flin_message_free(&state);
    return status;
}

/* Feed a stream in pieces of `piece` bytes. */
static inline flin_status feed_pieces(const test_bytes *stream, size_t piece,
                                      const flin_message_limits *limits, test_bytes *log) {
    flin_message_state state;
    flin_message_init(&state);
    flin_status status = FLIN_NEED_MORE;
    for (size_t start = 0; start < stream->size && status == FLIN_NEED_MORE; start += piece) {
        size_t size = stream->size - start < piece ? stream->size - start : piece;
        status = feed_piece(&state, stream->data + start, size, limits, log);
    }
    flin_message_free(&state);
    return status;
}

static inline bool log_equals(const test_bytes *log, const char *text) {
    return log->size == strlen(text) && (log->size == 0 || memcmp(log->data, text, log->size) == 0);
}

#endif
