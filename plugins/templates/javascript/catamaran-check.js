// What every check in JavaScript needs: verdicts, settings, words for errors.

const REASONS = {
  denied: "denied",
  refused: "connection refused",
  unreachable: "unreachable",
  "timed-out": "timed out",
  closed: "the endpoint closed the connection",
  tls: "TLS",
  protocol: "protocol error",
  "too-large": "too large",
};

/** Fit for connections; with a detail worth showing. */
export const healthy = (detail = "") => ({ tag: "healthy", val: String(detail) });

/** Fit for connections, but someone should look; at what, the text says. */
export const degraded = (detail) => ({ tag: "degraded", val: String(detail) });

/** Not fit; the text is the reason. */
export const unhealthy = (reason) => ({ tag: "unhealthy", val: String(reason) });

/** One line for the operator about an error of the network. */
export const reason = ({ tag, val }) => (val ? `${REASONS[tag]}: ${val}` : REASONS[tag]);

/** Text as UTF-8. */
export const bytes = (text) => Uint8Array.from(unescape(encodeURIComponent(text)), (letter) => letter.charCodeAt(0));

/** Bytes as text of one letter each, for searching. */
export const latin1 = (some) => Array.from(some, (byte) => String.fromCharCode(byte)).join("");

/** Whether the bytes contain a text. */
export const contains = (some, text) => latin1(some).includes(latin1(bytes(text)));

/**
 * Make a function of request and settings the plugin. What it throws ends the
 * probe: a failure of the network as the endpoint's fault, anything else as
 * the plugin's own.
 */
export const plugin = (probe) => (request) => {
  try {
    return probe(request, JSON.parse(request.config));
  } catch (failure) {
    const error = failure?.payload ?? failure;
    if (error?.tag in REASONS) return unhealthy(reason(error));
    throw failure instanceof Error ? `${failure.name}: ${failure.message}` : failure;
  }
};
