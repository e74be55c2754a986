// Sends a text and waits for another one.

#include "catamaran-check.h"

#include <string.h>

void check(const check_request *request) {
    (void)request;
    const char *send = config_text("send", "PING\r\n");
    const char *expect = config_text("expect", "PONG");
    static char came[65536];
    size_t length = 0;
    check_stream stream;
    if (!stream_connect(&stream) || !stream_write(&stream, send, strlen(send)))
        return;
    while (!contains(came, length, expect)) {
        long some = stream_read(&stream, came + length, sizeof came - length);
        if (some < 0)
            return;
        if (some == 0) {
            unhealthy("closed without \"%s\"", expect);
            return;
        }
        length += (size_t)some;
    }
    healthy("%zu bytes", length);
}
