"""Asks for a path and looks at status and text of the answer."""

from catamaran_check import healthy, plugin, unhealthy
from wit_world.imports import http


def probe(request, config):
    path = config.get("path", "/")
    text = config.get("contains", "")
    answer = http.request(http.HttpRequest("GET", path, [], b"", 65536))
    if answer.status != config.get("status", 200):
        return unhealthy(f"{path} answered {answer.status}")
    if text.encode() not in answer.body:
        return unhealthy(f'{path} does not contain "{text}"')
    return healthy(f"{answer.status}, {len(answer.body)} bytes")


WitWorld = plugin(probe)
