/**
 * Status codes of the core, their names and the close codes they lead to.
 * One X-macro is the only list: add a row, nothing else.
 */
#ifndef FLIN_STATUS_H
#define FLIN_STATUS_H

#include <stdint.h>

/* X(name, close code sent to the peer or 0, text) */
#define FLIN_STATUS_MAP(X)                                                                         \
    X(FLIN_OK, 0, "ok")                                                                            \
    X(FLIN_NEED_MORE, 0, "more bytes are needed")                                                  \
    X(FLIN_ERR_NO_MEMORY, 1011, "out of memory")                                                   \
    X(FLIN_ERR_RSV, 1002, "reserved bit set without a negotiated extension")                       \
    X(FLIN_ERR_OPCODE, 1002, "unknown opcode")                                                     \
    X(FLIN_ERR_MASK_MISSING, 1002, "client frame is not masked")                                   \
    X(FLIN_ERR_MASK_PRESENT, 1002, "server frame is masked")                                       \
    X(FLIN_ERR_LENGTH_FORM, 1002, "payload length is not in its shortest form")                    \
    X(FLIN_ERR_LENGTH_SIGN, 1002, "payload length has its top bit set")                            \
    X(FLIN_ERR_CONTROL_SIZE, 1002, "control frame is longer than 125 bytes")                       \
    X(FLIN_ERR_CONTROL_FRAGMENT, 1002, "control frame is fragmented")                              \
    X(FLIN_ERR_CONTINUATION, 1002, "continuation frame without a message to continue")             \
    X(FLIN_ERR_INTERLEAVED, 1002, "new data frame inside a fragmented message")                    \
    X(FLIN_ERR_CLOSE_SIZE, 1002, "close payload of one byte")                                      \
    X(FLIN_ERR_CLOSE_CODE, 1002, "close code is not allowed on the wire")                          \
    X(FLIN_ERR_UTF8, 1007, "text is not valid UTF-8")                                              \
    X(FLIN_ERR_MESSAGE_SIZE, 1009, "message is longer than the limit")                             \
    X(FLIN_ERR_FRAGMENT_COUNT, 1008, "too many empty fragments")                                   \
    X(FLIN_ERR_INFLATE, 1007, "compressed message is damaged")                                     \
    X(FLIN_ERR_SLOW_CONSUMER, 1013, "peer reads too slowly")                                       \
    X(FLIN_ERR_RATE, 1008, "peer sends too fast")

typedef enum {
#define FLIN_STATUS_ENUM(name, close_code, text) name,
    FLIN_STATUS_MAP(FLIN_STATUS_ENUM)
#undef FLIN_STATUS_ENUM
        FLIN_STATUS_COUNT
} flin_status;

/** Name of a status for logs and tests, such as "FLIN_ERR_UTF8"; never NULL. Thread-safe. */
const char *flin_status_name(flin_status status);

/** English text of a status, lower case, no final period; never NULL. Thread-safe. */
const char *flin_status_text(flin_status status);

/** Close code (RFC 6455 section 7.4.1) that answers a status, or 0 when none is due. */
uint16_t flin_status_close_code(flin_status status);

#endif
