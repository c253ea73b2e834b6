/**
 * Headers of every answer: what a browser may do with it. Less than it would on its own, unless a door has said otherwise.
 */
const DEFAULTS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

export function secured(response: Response, asked: URL): Response {
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(DEFAULTS)) if (!headers.has(name)) headers.set(name, value);
  if (asked.protocol === "https:") headers.set("strict-transport-security", "max-age=31536000");
  return new Response(response.body, { status: response.status, headers, webSocket: response.webSocket });
}

/** The request without the headers with which the agents library names who calls: only this server may do that. */
export function stripped(request: Request): Request {
  const names = [...request.headers.keys()].filter((name) => name.startsWith("x-agents-"));
  if (names.length === 0) return request;
  const headers = new Headers(request.headers);
  for (const name of names) headers.delete(name);
  return new Request(request, { headers });
}

/**
 * A socket's request with its access key where every other request has it. A browser can set no header on a WebSocket, and an
 * address would end up in logs: so the key comes as a subprotocol, `madrox.key.` and the key in base64url.
 */
export function withSocketKey(request: Request): Request {
  if (request.headers.has("authorization")) return request;
  const offered = request.headers.get("sec-websocket-protocol")?.split(",") ?? [];
  const [, encoded] = offered.map((one) => /^madrox\.key\.([\w-]+)$/.exec(one.trim())).find(Boolean) ?? [];
  if (encoded === undefined) return request;
  const headers = new Headers(request.headers);
  headers.set("authorization", `Bearer ${decoded(encoded)}`);
  return new Request(request, { headers });
}

/** Text of base64url; what is none becomes no key that there is. */
function decoded(encoded: string): string {
  try {
    const text = atob(encoded.replaceAll("-", "+").replaceAll("_", "/"));
    return /^[\x21-\x7e]*$/.test(text) ? text : "";
  } catch {
    return "";
  }
}
