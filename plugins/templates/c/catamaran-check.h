// Write a check for Catamaran in C: verdicts, settings, HTTP and connections.
//
// It stands on bindings/full_check.h, which has the contract as a whole.

#ifndef CATAMARAN_CHECK_H
#define CATAMARAN_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "bindings/full_check.h"

typedef catamaran_health_types_request_t check_request;
typedef catamaran_health_http_response_t http_answer;
typedef catamaran_health_connection_own_stream_t check_stream;

// Yours to write. It probes once and says what it found with one of the next
// four before it returns; of several, the last counts.
void check(const check_request *request);

// Fit for connections; with a detail worth showing, or "".
void healthy(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Fit for connections, but someone should look; at what, the text says.
void degraded(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Not fit; the text is the reason.
void unhealthy(const char *format, ...) __attribute__((format(printf, 1, 2)));
// The check cannot be made, and not for the endpoint's fault. Outlasts what
// is said after it.
void fault(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Settings: the value of a key of the check's `config`, or `otherwise` where it
// is not there. A value of another type is a fault.
const char *config_text(const char *key, const char *otherwise);
long config_number(const char *key, long otherwise);
bool config_flag(const char *key, bool otherwise);

// GET a path and the first 64 KiB of the body. False when there is no answer;
// the reason is the verdict then.
bool http_get(const char *path, http_answer *answer);

// Connect to the endpoint. False when it fails; the reason is the verdict then.
bool stream_connect(check_stream *stream);
// Send all the bytes, at most 65,536. False as above.
bool stream_write(check_stream *stream, const void *bytes, size_t length);
// Wait for bytes, at most `size` of them: how many came, 0 when the endpoint
// has finished sending or `size` is 0, below 0 when it fails, as above.
long stream_read(check_stream *stream, void *bytes, size_t size);
// Close it; at the end of the probe that happens by itself.
void stream_close(check_stream *stream);

// Whether bytes contain a text.
bool contains(const void *bytes, size_t length, const char *text);

#endif
