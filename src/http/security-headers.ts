/** Security headers of every response, and the request headers that only this server may set. */

/** As restrictive as can be; a route that needs more sets the header itself. */ const DEFAULTS: Readonly<
  Record<string, string>
> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

export function withSecurityHeaders(response: Response, url: URL): Response {
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(DEFAULTS)) if (!headers.has(name)) headers.set(name, value);
  if (url.protocol === "https:") headers.set("strict-transport-security", "max-age=31536000");
  return new Response(response.body, { status: response.status, headers, webSocket: response.webSocket });
}

/** The request without the `x-agents-*` headers, by which the agents library identifies callers: a client must not set them. */
export function withoutAgentHeaders(request: Request): Request {
  const names = [...request.headers.keys()].filter((name) => name.startsWith("x-agents-"));
  if (names.length === 0) return request;
  const headers = new Headers(request.headers);
  for (const name of names) headers.delete(name);
  return new Request(request, { headers });
}

/**
 * A WebSocket request with its access key in `Authorization`. A browser can't set that header on a WebSocket, and a URL would end
 * up in logs: so the key comes as a subprotocol, `madrox.key.` and the key in base64url.
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

/** The text of base64url; empty, which is no key, for anything else. */
function decoded(encoded: string): string {
  try {
    const text = atob(encoded.replaceAll("-", "+").replaceAll("_", "/"));
    return /^[\x21-\x7e]*$/.test(text) ? text : "";
  } catch {
    return "";
  }
}
