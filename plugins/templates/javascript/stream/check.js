// Sends a text and waits for another one.

import connection from "catamaran:health/connection@{{contract}}";
import { bytes, contains, healthy, plugin, unhealthy } from "./catamaran-check.js";

export const check = plugin((request, config) => {
  const { send = "PING\r\n", expect = "PONG" } = config;
  const stream = connection.connect();
  stream.write(bytes(send));
  let came = [];
  while (!contains(came, expect)) {
    const some = stream.read(4096);
    if (some.length === 0 || came.length > 65536) return unhealthy(`closed without "${expect}"`);
    came = [...came, ...some];
  }
  return healthy(`${came.length} bytes`);
});
