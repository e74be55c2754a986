// See catamaran-check.h.

#include "catamaran-check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// One instance makes one probe, so that what belongs to the probe can be here.
enum { NOTHING = -1, FAULT = -2 };
static int kind = NOTHING;
static char *words;
static const char *config;
static const char *config_end;

static void say(int what, const char *format, va_list values) {
    if (kind == FAULT)
        return;
    va_list again;
    va_copy(again, values);
    int length = vsnprintf(NULL, 0, format, values);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (!text)
        abort();
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    free(words);
    words = text;
    kind = what;
}

#define SAYS(name, what)                \
    void name(const char *format, ...) { \
        va_list values;                  \
        va_start(values, format);        \
        say(what, format, values);       \
        va_end(values);                  \
    }

SAYS(healthy, CATAMARAN_HEALTH_TYPES_VERDICT_HEALTHY)
SAYS(degraded, CATAMARAN_HEALTH_TYPES_VERDICT_DEGRADED)
SAYS(unhealthy, CATAMARAN_HEALTH_TYPES_VERDICT_UNHEALTHY)
SAYS(fault, FAULT)

bool exports_full_check_check(full_check_request_t *request, full_check_verdict_t *verdict,
                              full_check_string_t *error) {
    config = (const char *)request->config.ptr;
    config_end = config + request->config.len;
    check(request);
    if (kind == NOTHING)
        fault("the check says nothing");
    full_check_string_t *text = kind == FAULT ? error : &verdict->val.healthy;
    full_check_string_set(text, words);
    if (kind == FAULT)
        return false;
    verdict->tag = (uint8_t)kind;
    return true;
}

// What went wrong on the network becomes the verdict.
static bool failed(const catamaran_health_types_error_t *error) {
    static const char *const reasons[] = {
        "denied",       "connection refused", "unreachable",
        "timed out",    "the endpoint closed the connection",
        "TLS",          "protocol error",     "too large",
    };
    const full_check_string_t *text = NULL;
    switch (error->tag) {
    case CATAMARAN_HEALTH_TYPES_ERROR_DENIED:
    case CATAMARAN_HEALTH_TYPES_ERROR_UNREACHABLE:
    case CATAMARAN_HEALTH_TYPES_ERROR_TLS:
    case CATAMARAN_HEALTH_TYPES_ERROR_PROTOCOL:
        text = &error->val.denied;
    }
    if (text && text->len)
        unhealthy("%s: %.*s", reasons[error->tag], (int)text->len, (const char *)text->ptr);
    else
        unhealthy("%s", reasons[error->tag]);
    return false;
}

bool http_get(const char *path, http_answer *answer) {
    catamaran_health_http_http_request_t request = {.max_body = 65536};
    full_check_string_set(&request.method, "GET");
    full_check_string_set(&request.path, path);
    catamaran_health_http_error_t error;
    return catamaran_health_http_request(&request, answer, &error) || failed(&error);
}

bool stream_connect(check_stream *stream) {
    catamaran_health_connection_error_t error;
    return catamaran_health_connection_connect(stream, &error) || failed(&error);
}

bool stream_write(check_stream *stream, const void *bytes, size_t length) {
    full_check_list_u8_t list = {.ptr = (uint8_t *)bytes, .len = length};
    catamaran_health_connection_error_t error;
    return catamaran_health_connection_method_stream_write(
               catamaran_health_connection_borrow_stream(*stream), &list, &error) ||
           failed(&error);
}

long stream_read(check_stream *stream, void *bytes, size_t size) {
    if (size == 0)
        return 0;
    full_check_list_u8_t list;
    catamaran_health_connection_error_t error;
    uint32_t most = size > 65536 ? 65536 : (uint32_t)size;
    if (!catamaran_health_connection_method_stream_read(catamaran_health_connection_borrow_stream(*stream),
                                                        most, &list, &error)) {
        failed(&error);
        return -1;
    }
    long length = (long)list.len;
    memcpy(bytes, list.ptr, list.len);
    full_check_list_u8_free(&list);
    return length;
}

void stream_close(check_stream *stream) {
    catamaran_health_connection_stream_drop_own(*stream);
}

bool contains(const void *bytes, size_t length, const char *text) {
    size_t wanted = strlen(text);
    const char *at = bytes;
    for (size_t start = 0; start + wanted <= length; start++)
        if (memcmp(at + start, text, wanted) == 0)
            return true;
    return false;
}

// The bindings ask for an object file with their world in it;
// `catamaran plugin build` writes that into the module itself.
void __component_type_object_force_link_full_check(void) {
}

// The settings are JSON that the host wrote, so that what is read here is
// well formed; the end is looked for all the same.

static const char *space(const char *at) {
    while (at < config_end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

// Behind the string that begins here.
static const char *behind_string(const char *at) {
    for (at++; at < config_end && *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at < config_end ? at + 1 : config_end;
}

// Behind the value that begins here.
static const char *behind_value(const char *at) {
    size_t depth = 0;
    while (at < config_end) {
        char letter = *at;
        if (letter == '"') {
            at = behind_string(at);
        } else {
            if (depth == 0 && (letter == ',' || letter == '}' || letter == ']'))
                return at;
            if (letter == '{' || letter == '[')
                depth++;
            if (letter == '}' || letter == ']')
                depth--;
            at++;
        }
        if (depth == 0 && at < config_end && (*at == ',' || *at == '}' || *at == ']'))
            return at;
    }
    return at;
}

static unsigned hexadecimal(const char *digits) {
    char text[5] = {0};
    memcpy(text, digits, 4);
    return (unsigned)strtoul(text, NULL, 16);
}

static char *put_utf8(char *out, unsigned letter) {
    if (letter < 0x80) {
        *out++ = (char)letter;
        return out;
    }
    if (letter < 0x800) {
        *out++ = (char)(0xc0 | letter >> 6);
    } else {
        if (letter < 0x10000) {
            *out++ = (char)(0xe0 | letter >> 12);
        } else {
            *out++ = (char)(0xf0 | letter >> 18);
            *out++ = (char)(0x80 | (letter >> 12 & 0x3f));
        }
        *out++ = (char)(0x80 | (letter >> 6 & 0x3f));
    }
    *out++ = (char)(0x80 | (letter & 0x3f));
    return out;
}

// The text of the string that begins here; it lives as long as the probe.
static char *text_of(const char *at) {
    const char *end = behind_string(at) - 1;
    // No escape is shorter than what it stands for.
    char *text = malloc((size_t)(end - at));
    if (!text)
        abort();
    char *out = text;
    for (at++; at < end; at++) {
        if (*at != '\\') {
            *out++ = *at;
            continue;
        }
        switch (*++at) {
        case 'b': *out++ = '\b'; break;
        case 'f': *out++ = '\f'; break;
        case 'n': *out++ = '\n'; break;
        case 'r': *out++ = '\r'; break;
        case 't': *out++ = '\t'; break;
        case 'u': {
            if (end - at < 5)
                break;
            unsigned letter = hexadecimal(at + 1);
            at += 4;
            // RFC 8259 §7: what is beyond 16 bits is written as a pair.
            if (letter >= 0xd800 && letter < 0xdc00 && end - at > 6 && at[1] == '\\' && at[2] == 'u') {
                letter = 0x10000 + ((letter - 0xd800) << 10) + (hexadecimal(at + 3) - 0xdc00);
                at += 6;
            }
            out = put_utf8(out, letter);
            break;
        }
        default: *out++ = *at;
        }
    }
    *out = '\0';
    return text;
}

// Where the value of a key begins, or NULL.
static const char *value_of(const char *key) {
    const char *at = space(config);
    if (at == config_end || *at != '{')
        return NULL;
    for (at = space(at + 1); at < config_end && *at == '"'; at = space(at + 1)) {
        char *name = text_of(at);
        bool found = strcmp(name, key) == 0;
        free(name);
        // Past the colon.
        at = space(space(behind_string(at)) + 1);
        if (found)
            return at;
        at = space(behind_value(at));
        if (at == config_end || *at != ',')
            return NULL;
    }
    return NULL;
}

const char *config_text(const char *key, const char *otherwise) {
    const char *value = value_of(key);
    if (!value)
        return otherwise;
    if (*value == '"')
        return text_of(value);
    fault("config: `%s` is not a text", key);
    return otherwise;
}

long config_number(const char *key, long otherwise) {
    const char *value = value_of(key);
    if (!value)
        return otherwise;
    const char *behind = behind_value(value);
    char text[24] = {0};
    size_t length = (size_t)(behind - value);
    char *end = text;
    if (length < sizeof text) {
        memcpy(text, value, length);
        long number = strtol(text, &end, 10);
        if (end != text && end[strspn(end, " \t\r\n")] == '\0')
            return number;
    }
    fault("config: `%s` is not a whole number", key);
    return otherwise;
}

bool config_flag(const char *key, bool otherwise) {
    const char *value = value_of(key);
    if (!value)
        return otherwise;
    size_t left = (size_t)(config_end - value);
    if (left >= 4 && memcmp(value, "true", 4) == 0)
        return true;
    if (left >= 5 && memcmp(value, "false", 5) == 0)
        return false;
    fault("config: `%s` is neither true nor false", key);
    return otherwise;
}
