/*
 * Fuzzes frame headers, close payloads and the message state machine. Input: one byte of options,
 * one that says how to cut, then what a peer sends. It is read whole and once more in pieces.
 *
 * Claims: no read or write outside the bytes; the same events and the same fault however the
 * stream is cut or received; a header that decodes encodes to the same bytes; memory follows the
 * bytes received.
 */
#include <sanitizer/asan_interface.h>

#include "flin_block.h"
#include "flin_frame.h"
#include "flin_fuzz.h"
#include "flin_message.h"

/* Events are folded into one number each (FNV-1a), so that runs are compared cheaply. */
typedef struct {
    uint64_t hash;
    size_t count;
    flin_status status;
    bool takes_blocks; /* whether messages are taken over with their block */
} outcome;

static void fold(outcome *out, const void *data, size_t size) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) {
        out->hash = (out->hash ^ bytes[i]) * UINT64_C(1099511628211);
    }
}

static void take_event(outcome *out, const flin_message_event *event) {
    uint64_t facts[4] = {event->opcode, event->rsv1, event->close_code, event->size};
    FUZZ_CHECK(event->data || event->size == 0);
    FUZZ_CHECK((event->close_code != 0) == (event->opcode == FLIN_OPCODE_CLOSE));
    FUZZ_CHECK(event->opcode < 8 || event->size <= FLIN_FRAME_CONTROL_MAX);
    if (event->opcode == FLIN_OPCODE_TEXT && !event->rsv1) {
        FUZZ_CHECK(flin_utf8_is_valid(event->data, event->size));
    }
    fold(out, facts, sizeof facts);
    fold(out, event->data, event->size);
    out->count++;
}

/* Take the block of a message over, as a relay does; the state lets go of it. */
static void take_block(flin_message_state *state, const flin_message_event *event) {
    size_t capacity;
    uint8_t *block = flin_message_take(state, event, &capacity);
    if (!block) return;
    FUZZ_CHECK(block == event->data && event->size <= capacity);
    FUZZ_CHECK(flin_message_held_bytes(state) == 0);
    flin_block_free(block, capacity);
}

static void check_memory(const flin_message_state *state, const flin_message_limits *limits) {
    size_t held = state->size + FLIN_FRAME_CONTROL_MAX;
    size_t bound = 2 * held > FLIN_MESSAGE_ALLOC_MIN ? 2 * held : FLIN_MESSAGE_ALLOC_MIN;
    FUZZ_CHECK(flin_message_held_bytes(state) <= bound);
    FUZZ_CHECK(state->size <= limits->message_bytes_max);
    FUZZ_CHECK(state->size + state->control_size <= flin_message_held_bytes(state));
    FUZZ_CHECK(!flin_message_is_idle(state) || flin_message_held_bytes(state) == 0);
}

/* Feed one piece; false when the stream is over. What follows the piece is poisoned, what was
 * consumed is overwritten, as by the next reception. */
static bool feed(flin_message_state *state, uint8_t *piece, size_t size,
                 const flin_message_limits *limits, outcome *out) {
    ASAN_UNPOISON_MEMORY_REGION(piece, size);
    uint8_t *cursor = piece;
    flin_message_event event;
    flin_status status;
    while ((status = flin_message_next(state, &cursor, piece + size, limits, &event)) == FLIN_OK) {
        take_event(out, &event);
        if (out->takes_blocks) take_block(state, &event);
    }
    if (status == FLIN_NEED_MORE) {
        FUZZ_CHECK(cursor == piece + size);
        check_memory(state, limits);
    }
    memset(piece, 0xDD, size);
    out->status = status;
    return status == FLIN_NEED_MORE;
}

static size_t receive_in_room(flin_message_state *state, const uint8_t *data, size_t size,
                              outcome *out) {
    uint8_t *room;
    size_t received = flin_message_room(state, &room);
    if (received > size) received = size;
    if (received == 0) return 0;
    memcpy(room, data, received);
    flin_message_event event;
    out->status = flin_message_commit(state, received, &event);
    if (out->status == FLIN_OK) {
        take_event(out, &event);
        if (out->takes_blocks) take_block(state, &event);
    }
    return received;
}

/* Feed in pieces of `step` bytes; every other piece into the room when there is one. */
static outcome run(const uint8_t *data, size_t size, size_t step, unsigned options,
                   const flin_message_limits *limits) {
    outcome out = {UINT64_C(14695981039346656037), 0, FLIN_NEED_MORE, (options & 128u) != 0};
    bool use_room = (options & 64u) != 0;
    uint8_t *stream = fuzz_copy(data, size);
    ASAN_POISON_MEMORY_REGION(stream, size);
    flin_message_state state;
    flin_message_init(&state);
    size_t offset = 0;
    bool goes_on = true;
    while (goes_on && offset < size) {
        size_t piece = size - offset < step ? size - offset : step;
        size_t received = use_room ? receive_in_room(&state, data + offset, piece, &out) : 0;
        if (received > 0) {
            offset += received;
            goes_on = out.status == FLIN_NEED_MORE || out.status == FLIN_OK;
            /* The event is used up: go on as a reader does. */
            if (goes_on) goes_on = feed(&state, stream + offset, 0, limits, &out);
        } else {
            goes_on = feed(&state, stream + offset, piece, limits, &out);
            offset += piece;
        }
    }
    flin_message_free(&state);
    ASAN_UNPOISON_MEMORY_REGION(stream, size);
    free(stream);
    return out;
}

static void check_same(const outcome *left, const outcome *right) {
    FUZZ_CHECK(left->status == right->status);
    FUZZ_CHECK(left->count == right->count);
    FUZZ_CHECK(left->hash == right->hash);
}

static void check_header(const uint8_t *data, size_t size, flin_role sender, bool allow_rsv1) {
    flin_frame_header header = {0};
    uint8_t *copy = fuzz_copy(data, size);
    flin_status status = flin_frame_header_decode(copy, size, sender, allow_rsv1, &header);
    /* A prefix asks for more or shows the same fault. */
    for (size_t part = 0; part < size && part < FLIN_FRAME_HEADER_MAX; part++) {
        flin_frame_header other;
        flin_status early = flin_frame_header_decode(copy, part, sender, allow_rsv1, &other);
        FUZZ_CHECK(early == FLIN_NEED_MORE || early == status);
        FUZZ_CHECK(early != FLIN_OK || part >= header.header_size);
    }
    if (status == FLIN_OK) {
        uint8_t out[FLIN_FRAME_HEADER_MAX];
        flin_opcode opcode = (flin_opcode)header.opcode;
        size_t written = header.masked
                             ? flin_frame_header_encode_masked(out, opcode, header.fin, header.rsv1,
                                                               header.payload_size, header.mask_key)
                             : flin_frame_header_encode(out, opcode, header.fin, header.rsv1,
                                                        header.payload_size);
        FUZZ_CHECK(header.masked == (sender == FLIN_ROLE_CLIENT));
        FUZZ_CHECK(written == header.header_size && written <= size);
        FUZZ_CHECK(memcmp(out, data, written) == 0);
    }
    free(copy);
}

static void check_close(const uint8_t *data, size_t size) {
    uint16_t code;
    size_t reason_size;
    if (flin_frame_close_decode(data, size, &code, &reason_size) != FLIN_OK) return;
    uint8_t out[2 + FLIN_FRAME_CONTROL_MAX];
    const char *reason = size > 2 ? (const char *)data + 2 : NULL;
    size_t written = flin_frame_close_encode(out, code, reason, reason_size);
    FUZZ_CHECK(written <= sizeof out && out[1] == written - 2);
    uint16_t again;
    size_t kept;
    FUZZ_CHECK(flin_frame_close_decode(out + 2, written - 2, &again, &kept) == FLIN_OK);
    FUZZ_CHECK(again == code);
    /* Cut only when it must be, and then by less than a code point. */
    FUZZ_CHECK(kept == reason_size ||
               (kept < reason_size && kept + 3 >= FLIN_FRAME_CLOSE_REASON_MAX));
    FUZZ_CHECK(kept == 0 || memcmp(out + 4, reason, kept) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const size_t LIMITS[4] = {1u << 20, 1000, 125, 0};
    if (size < 2) return 0;
    unsigned options = data[0];
    size_t step = (size_t)data[1] + 1;
    data += 2;
    size -= 2;
    flin_message_limits limits = {.message_bytes_max = LIMITS[options >> 2 & 3u],
                                  .empty_fragments_max = (options & 16u) ? 2 : 1024,
                                  .sender = (options & 1u) ? FLIN_ROLE_SERVER : FLIN_ROLE_CLIENT,
                                  .allow_rsv1 = (options & 2u) != 0};
    check_header(data, size, limits.sender, limits.allow_rsv1);
    check_close(data, size);
    outcome whole = run(data, size, size + 1, 0, &limits);
    outcome cut = run(data, size, (options & 32u) ? 1 : step, options, &limits);
    check_same(&whole, &cut);
    return 0;
}
