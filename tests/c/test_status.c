/* Statuses: every row of the table is complete, and a number outside it is harmless. */
#include "flin_status.h"

#include <ctype.h>

#include "flin_frame.h"
#include "flin_test.h"

static void every_status_has_its_own_name(void) {
    for (unsigned i = 0; i < FLIN_STATUS_COUNT; i++) {
        const char *name = flin_status_name((flin_status)i);
        FLIN_CHECK(strncmp(name, "FLIN_", 5) == 0);
        for (unsigned j = 0; j < i; j++) {
            FLIN_CHECK(strcmp(name, flin_status_name((flin_status)j)) != 0);
        }
    }
    FLIN_CHECK(strcmp(flin_status_name(FLIN_OK), "FLIN_OK") == 0);
    FLIN_CHECK(strcmp(flin_status_name(FLIN_ERR_RATE), "FLIN_ERR_RATE") == 0);
}

static void every_text_is_lower_case_without_a_period(void) {
    for (unsigned i = 0; i < FLIN_STATUS_COUNT; i++) {
        const char *text = flin_status_text((flin_status)i);
        size_t size = strlen(text);
        FLIN_CHECK(size > 0);
        FLIN_CHECK(islower((unsigned char)text[0]));
        FLIN_CHECK(text[size - 1] != '.');
    }
}

static void every_error_leads_to_a_code_that_may_be_sent(void) {
    for (unsigned i = 0; i < FLIN_STATUS_COUNT; i++) {
        uint16_t code = flin_status_close_code((flin_status)i);
        bool is_error = strncmp(flin_status_name((flin_status)i), "FLIN_ERR_", 9) == 0;
        FLIN_CHECK_EQ(flin_frame_close_code_is_valid(code), is_error);
    }
    FLIN_CHECK_EQ(flin_status_close_code(FLIN_ERR_UTF8), 1007);
    FLIN_CHECK_EQ(flin_status_close_code(FLIN_ERR_MESSAGE_SIZE), 1009);
    FLIN_CHECK_EQ(flin_status_close_code(FLIN_ERR_RSV), 1002);
    FLIN_CHECK_EQ(flin_status_close_code(FLIN_ERR_SLOW_CONSUMER), 1013);
}

static void a_number_outside_the_table_reads_no_wild_memory(void) {
    const int numbers[] = {FLIN_STATUS_COUNT, 255, INT32_MAX, -1, INT32_MIN};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        flin_status status;
        memcpy(&status, &numbers[i], sizeof status);
        FLIN_CHECK(strcmp(flin_status_name(status), "FLIN_STATUS_UNKNOWN") == 0);
        FLIN_CHECK(strcmp(flin_status_text(status), "unknown status") == 0);
        FLIN_CHECK_EQ(flin_status_close_code(status), 1011);
    }
}

int main(void) {
    FLIN_RUN(every_status_has_its_own_name);
    FLIN_RUN(every_text_is_lower_case_without_a_period);
    FLIN_RUN(every_error_leads_to_a_code_that_may_be_sent);
    FLIN_RUN(a_number_outside_the_table_reads_no_wild_memory);
    return flin_test_end();
}
