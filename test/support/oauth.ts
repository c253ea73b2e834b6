/**
 * A client that logs in with OAuth, and the person in front of the browser that it opens, a step at a time.
 */
import type { Keyed } from "./keyed.ts";

export const CALLBACK = "http://localhost:7777/callback";
export const JSON_TYPE = { "content-type": "application/json" };

export interface Tokens {
  access_token: string;
  refresh_token: string;
  expires_in: number;
  scope: string;
  resource: string;
}

export async function register(server: Keyed, metadata: Record<string, unknown> = {}): Promise<string> {
  const response = await server.request("/oauth/register", {
    method: "POST",
    headers: JSON_TYPE,
    body: JSON.stringify({
      client_name: "Test client",
      redirect_uris: [CALLBACK],
      token_endpoint_auth_method: "none",
      ...metadata,
    }),
  });
  if (response.status !== 201) throw new Error(await response.text());
  return ((await response.json()) as { client_id: string }).client_id;
}

interface Pkce {
  verifier: string;
  challenge: string;
}

export async function newPkce(): Promise<Pkce> {
  const verifier = crypto.randomUUID() + crypto.randomUUID();
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  const challenge = btoa(String.fromCharCode(...new Uint8Array(hash)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
  return { verifier, challenge };
}

/** The address that a client sends its user to. A parameter that is null is left out. */
export function authorizePath(clientId: string, pkce: Pkce, change: Record<string, string | null> = {}): string {
  const parameters = {
    response_type: "code",
    client_id: clientId,
    redirect_uri: CALLBACK,
    state: "the-state",
    code_challenge: pkce.challenge,
    code_challenge_method: "S256",
    scope: "read operate",
    ...change,
  };
  const given = Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== null);
  return `/authorize?${new URLSearchParams(given)}`;
}

/** The consent page as a browser has it. */
interface Page {
  status: number;
  headers: Headers;
  html: string;
  handle: string;
  cookie: string;
}

export async function pageOf(response: Response): Promise<Page> {
  const html = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    html,
    handle: /name="handle" value="([^"]+)"/.exec(html)?.[1] ?? "",
    cookie: (response.headers.getSetCookie()[0] ?? "").split(";")[0] ?? "",
  };
}

interface Decision {
  key?: string;
  scopes?: readonly string[];
  decision?: "allow" | "deny";
}

/** Sends the page's form. */
export function decide(
  server: Keyed,
  page: Pick<Page, "handle" | "cookie">,
  { key = "", scopes = ["read", "operate"], decision = "allow" }: Decision,
  headers: Record<string, string> = {},
): Promise<Response> {
  const form = new URLSearchParams({ handle: page.handle, key, decision });
  for (const scope of scopes) form.append("scope", scope);
  return server.request("/authorize", {
    method: "POST",
    headers: { origin: server.origin, cookie: page.cookie, ...headers },
    body: form,
  });
}

/** The parameters with which the browser comes back to the client. */
export function comesBackWith(response: Response): Record<string, string> {
  const location = response.headers.get("location") ?? "";
  if (!location.startsWith(CALLBACK)) throw new Error(`${response.status} to ${location || "nowhere"}`);
  return Object.fromEntries(new URL(location).searchParams);
}

export function postToken(server: Keyed, form: Record<string, string>, from?: string): Promise<Response> {
  return server.request("/oauth/token", { method: "POST", body: new URLSearchParams(form), ...(from ? { from } : {}) });
}

export interface Login {
  clientId: string;
  code: string;
  /** The form that exchanges the code; sent once. */
  exchange: Record<string, string>;
  tokens: Tokens;
}

/** A whole login: registration, consent with a key, and the exchange of the code. */
export async function login(
  server: Keyed,
  key: string,
  { asks, ...decision }: Decision & { asks?: Record<string, string | null> } = {},
): Promise<Login> {
  const clientId = await register(server);
  const pkce = await newPkce();
  const page = await pageOf(await server.request(authorizePath(clientId, pkce, asks)));
  const { code = "" } = comesBackWith(await decide(server, page, { key, ...decision }));
  const exchange = {
    grant_type: "authorization_code",
    code,
    client_id: clientId,
    redirect_uri: CALLBACK,
    code_verifier: pkce.verifier,
  };
  const response = await postToken(server, exchange);
  if (!response.ok) throw new Error(await response.text());
  return { clientId, code, exchange, tokens: (await response.json()) as Tokens };
}

export function refresh(server: Keyed, clientId: string, refreshToken: string): Promise<Response> {
  return postToken(server, { grant_type: "refresh_token", refresh_token: refreshToken, client_id: clientId });
}
