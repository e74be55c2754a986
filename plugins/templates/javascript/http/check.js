// Asks for a path and looks at status and text of the answer.

import http from "catamaran:health/http@{{contract}}";
import { contains, healthy, plugin, unhealthy } from "./catamaran-check.js";

export const check = plugin((request, config) => {
  const { path = "/", status = 200, contains: text = "" } = config;
  const answer = http.request({ method: "GET", path, headers: [], body: new Uint8Array(), maxBody: 65536 });
  if (answer.status !== status) return unhealthy(`${path} answered ${answer.status}`);
  if (!contains(answer.body, text)) return unhealthy(`${path} does not contain "${text}"`);
  return healthy(`${answer.status}, ${answer.body.length} bytes`);
});
