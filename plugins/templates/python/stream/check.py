"""Sends a text and waits for another one."""

from catamaran_check import healthy, plugin, unhealthy
from wit_world.imports import connection


def probe(request, config):
    text = config.get("expect", "PONG")
    came = b""
    with connection.connect() as stream:
        stream.write(config.get("send", "PING\r\n").encode())
        while text.encode() not in came:
            some = stream.read(4096)
            if not some or len(came) > 65536:
                return unhealthy(f'closed without "{text}"')
            came += some
    return healthy(f"{len(came)} bytes")


WitWorld = plugin(probe)
