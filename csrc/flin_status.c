/**
 * Tables behind flin_status.h, all expanded from FLIN_STATUS_MAP.
 */
#include "flin_status.h"

typedef struct {
    const char *name;
    const char *text;
    uint16_t close_code;
} status_row;

static const status_row STATUS_ROWS[FLIN_STATUS_COUNT] = {
#define STATUS_ROW(name, close_code, text) {#name, text, close_code},
    FLIN_STATUS_MAP(STATUS_ROW)
#undef STATUS_ROW
};

/* For a number that is no status: a bug of the caller, but never a wild read. */
static const status_row UNKNOWN_ROW = {"FLIN_STATUS_UNKNOWN", "unknown status", 1011};

static const status_row *row_of(flin_status status) {
    return (unsigned)status < FLIN_STATUS_COUNT ? &STATUS_ROWS[status] : &UNKNOWN_ROW;
}

const char *flin_status_name(flin_status status) { return row_of(status)->name; }

const char *flin_status_text(flin_status status) { return row_of(status)->text; }

uint16_t flin_status_close_code(flin_status status) { return row_of(status)->close_code; }
