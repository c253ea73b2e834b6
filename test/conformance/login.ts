/**
 * A client of the authorization server, for the referee: registered, and with somebody who consents for it.
 */
import type { AuthorizationServer } from "./referee.ts";

/** Where the referee listens for its callback. */
const PORT = 38_417;

/** Registers a client at the server, which lets in whoever has this key. */
export async function registered(issuer: string, key: string): Promise<AuthorizationServer> {
  const response = await fetch(`${issuer}/oauth/register`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      client_name: "Conformance",
      redirect_uris: [`http://127.0.0.1:${PORT}/callback`],
      token_endpoint_auth_method: "none",
    }),
  });
  const { client_id } = (await response.json()) as { client_id?: string };
  if (!client_id) throw new Error(`The registration was answered with HTTP ${response.status}.`);
  return {
    issuer,
    resource: `${issuer}/mcp`,
    clientId: client_id,
    port: PORT,
    consent: (url) => consent(url, issuer, key),
  };
}

/** What a person does with a browser: reads the page, gives the key, and is sent back. */
async function consent(url: string, issuer: string, key: string): Promise<void> {
  const page = await fetch(url, { redirect: "manual" });
  const handle = /name="handle" value="([^"]+)"/.exec(await page.text())?.[1] ?? "";
  const cookie = page.headers.getSetCookie().map((line) => line.split(";")[0]);
  const form = new URLSearchParams({ handle, key, decision: "allow", scope: "read" });
  const answer = await fetch(`${issuer}/authorize`, {
    method: "POST",
    redirect: "manual",
    headers: { origin: issuer, cookie: cookie.join("; ") },
    body: form,
  });
  await fetch(answer.headers.get("location") ?? page.headers.get("location") ?? "");
}
