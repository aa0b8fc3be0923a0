/**
 * The end of a connection: closing handshake, failures, slow consumers, deadlines, `on close`.
 *
 *     OPEN ── our close, peer's close, fault, loss ──> CLOSING ── socket closed ──> CLOSED ──> FREE
 *
 * Leaving OPEN takes the connection out of every room and makes `on close` due, whatever the
 * reason, so both happen exactly once. `on close` runs in flin_hub_reap(), after queued messages
 * and never inside a flush or another handler.
 */
#ifndef FLIN_CLOSE_H
#define FLIN_CLOSE_H

#include "flin_conn.h"

/** Start the closing handshake: a close frame behind what is queued. Nothing unless OPEN. */
void flin_conn_close(flin_hub *hub, flin_conn *conn, uint16_t code, const char *reason,
                     size_t reason_size);

/** The peer broke the protocol: queued output, a close frame, then the end (RFC 6455, 7.1.7). */
void flin_conn_fail(flin_hub *hub, flin_conn *conn, flin_status status);

/** The peer's close frame was read: answer it, or complete the handshake we began. */
void flin_conn_close_received(flin_hub *hub, flin_conn *conn, const flin_message_event *event);

/** The socket is gone, or must go at once; `on close` sees 1006 unless a close went before. */
void flin_conn_lost(flin_hub *hub, flin_conn *conn, bool reset);

/** The peer reads too slowly: drop whole unsent frames, close with 1013. */
void flin_conn_close_slow(flin_hub *hub, flin_conn *conn);

/**
 * Buffers hold too much: close stalled connections with 1013, those with the largest backlog first
 * (to a factor of two), until they do not. One whose half-sent frame alone is above its soft mark
 * is reset, because that frame can neither be cut nor waited for.
 */
void flin_hub_shed(flin_hub *hub);

/** Lost for lack of memory, found out while members were visited: flin_hub_reap() ends it. */
void flin_conn_doom(flin_hub *hub, flin_conn *conn);

/** All output of a connection that is not OPEN has left: take the next step of the ending. */
void flin_conn_drained(flin_hub *hub, flin_conn *conn);

/** Have flin_hub_reap() look at the connection. */
void flin_conn_end_later(flin_hub *hub, flin_conn *conn);

/** Have the sweep look at the connection's deadline or stall. */
void flin_conn_watch(flin_hub *hub, flin_conn *conn);
void flin_conn_unwatch(flin_hub *hub, flin_conn *conn);

/** Close sockets, run `on close`, free slots. Call with no handler running. */
void flin_hub_reap(flin_hub *hub);

/**
 * One pass over silence, stalls and closing handshakes at `hub->now_ms`; once a second.
 *
 * Heartbeat, with `heartbeat_ms` H and `timeout_ms` T > H:
 *   1. An open connection is pinged by the first sweep that finds it silent for H at most and more
 *      than H / 2; where in between is drawn anew after every sign of life, so that connections
 *      that were opened together, or answered together, do not stay in step.
 *   2. It is dead when no byte of any kind came for T, none came since the ping, and the ping has
 *      been under way for T - H. A peer is never given up without a ping, nor before its time to
 *      answer is over, however late the ping was.
 *   3. A sweep that comes late (the process was stopped, a handler ran long) has not seen what
 *      peers sent meanwhile: it puts the verdict off to the next one.
 *   4. Silence of a connection that we do not read is our doing, and begins when we read again. One
 *      that does not take our output (STALLED) is not pinged, its time to answer does not run, and
 *      the stall time of its endpoint judges it instead.
 * So with sweeps each second a dead peer is found T to T + 2 s after its last byte.
 */
void flin_hub_sweep(flin_hub *hub);

#endif
