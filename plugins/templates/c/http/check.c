// Asks for a path and looks at status and text of the answer.

#include "catamaran-check.h"

void check(const check_request *request) {
    (void)request;
    const char *path = config_text("path", "/");
    const char *text = config_text("contains", "");
    http_answer answer;
    if (!http_get(path, &answer))
        return;
    if (answer.status != config_number("status", 200))
        unhealthy("%s answered %d", path, answer.status);
    else if (!contains(answer.body.ptr, answer.body.len, text))
        unhealthy("%s does not contain \"%s\"", path, text);
    else
        healthy("%d, %zu bytes", answer.status, answer.body.len);
}
