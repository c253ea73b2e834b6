/**
 * The page on which the owner of an access key grants a client access. Plain HTML without scripts. A client's description of
 * itself is untrusted: cut, cleaned and escaped.
 */
import { html } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";
import { SCOPES, type Scope } from "../contracts/scopes.ts";

export interface ConsentQuestion {
  /** What the client calls itself. */
  clientName: string;
  /** The domain that vouches for the name; null: none does. */
  clientDomain: string | null;
  /** The host that the user is sent back to. */
  redirectHost: string;
  /** Whether that is a program on the user's own machine. */
  redirectIsLocal: boolean;
  /** This server's host. */
  serverHost: string;
  /** What the client asks for; ticked on the page. */
  scopes: readonly Scope[];
  /** Ties the form to the request that showed it. */
  handle: string;
  /** Why the last attempt failed. */
  problem: string | null;
}

type Page = HtmlEscapedString | Promise<HtmlEscapedString>;

const SAYS: Record<Scope, [title: string, detail: string]> = {
  read: ["See", "instances, what they said, their files, events and costs"],
  operate: ["Work", "spawn instances, send messages, write files, end instances. This spends money"],
  admin: ["Administer", "change the limits of everything together, and delete instances for good"],
};

const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#d4d4d8, #3f3f46); --soft: light-dark(#f4f4f5, #27272a); --accent: light-dark(#1d4ed8, #93c5fd); --onaccent: light-dark(#fff, #0b1220); --warn: light-dark(#b91c1c, #fca5a5); }
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; background: light-dark(#fff, #18181b); color: light-dark(#18181b, #fafafa); overflow-wrap: anywhere; }
main { max-width: 28rem; margin: 0 auto; }
h1 { font-size: 1.35rem; line-height: 1.3; margin: 1rem 0 .5rem; }
p { margin: .5rem 0; }
.box { background: var(--soft); border-radius: .5rem; padding: .6rem .8rem; margin: .8rem 0; }
.warn { border-left: .25rem solid var(--warn); }
fieldset { border: 1px solid var(--line); border-radius: .5rem; padding: .2rem .8rem; margin: 1rem 0; }
legend { padding: 0 .3rem; }
label.scope { display: flex; gap: .7rem; align-items: flex-start; padding: .5rem 0; }
label.scope input { width: 1.3rem; height: 1.3rem; margin: .1rem 0 0; flex: none; accent-color: var(--accent); }
.key { display: block; width: 100%; font: inherit; padding: .7rem; margin-top: .3rem; border: 1px solid var(--line); border-radius: .5rem; background: transparent; color: inherit; }
.row { display: flex; gap: .7rem; margin: 1rem 0; }
button { flex: 1; font: inherit; min-height: 2.9rem; border-radius: .5rem; border: 1px solid var(--line); background: transparent; color: inherit; cursor: pointer; }
button.yes { background: var(--accent); border-color: var(--accent); color: var(--onaccent); font-weight: 600; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
`;

function page(title: string, nonce: string, body: Page): Page {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title}</title>
<style nonce="${nonce}">${STYLE}</style>
</head>
<body><main>${body}</main></body>
</html>`;
}

/** The question: who asks for what, and the field for the key. */
export function consentPage(question: ConsentQuestion, nonce: string): Page {
  const name = presentable(question.clientName);
  const redirect = presentable(question.redirectHost);
  return page(
    `Connect ${name} to Madrox`,
    nonce,
    html`
<h1>Let <strong>${name}</strong> use Madrox?</h1>
<p>${
      question.clientDomain === null
        ? html`It gave itself this name; nobody has checked it.`
        : html`Published by <strong>${presentable(question.clientDomain)}</strong>.`
    }</p>
<div class="box">Server: <strong>${question.serverHost}</strong><br>Access is sent to: <strong>${redirect}</strong></div>
${
  question.redirectIsLocal
    ? html`<div class="box warn">That is a program on your own computer. Go on only if you have just started to log in from it.</div>`
    : ""
}
<form method="post" action="/authorize">
<input type="hidden" name="handle" value="${question.handle}">
<fieldset><legend>It may</legend>
${SCOPES.map(
  (scope) =>
    html`<label class="scope"><input type="checkbox" name="scope" value="${scope}"${
      question.scopes.includes(scope) ? html` checked` : ""
    }><span><strong>${SAYS[scope][0]}</strong>: ${SAYS[scope][1]}.</span></label>`,
)}
</fieldset>
${question.problem === null ? "" : html`<div class="box warn" role="alert">${question.problem}</div>`}
<label>Your access key<input class="key" type="password" name="key" autocomplete="current-password" autocapitalize="off" spellcheck="false" required maxlength="500"></label>
<p>The key stays here: the program does not get it, and may never do more than the key.</p>
<div class="row"><button name="decision" value="deny" formnovalidate>Cancel</button><button class="yes" name="decision" value="allow">Allow</button></div>
</form>`,
  );
}

/** Why there is nothing to allow. */
export function refusalPage(message: string, nonce: string): Page {
  return page(
    "Madrox: this login can't go on",
    nonce,
    html`<h1>This login can't go on</h1><div class="box warn">${presentable(message, 400)}</div>
<p>Close this page and start again from the program that you want to connect.</p>`,
  );
}

/** Foreign text for a person to read: short, and without characters that hide or turn around what is beside them. */
function presentable(text: string, most = 80): string {
  const clean = text.replaceAll(/[\p{C}\p{Z}]+/gu, " ").trim();
  return clean.length > most ? `${clean.slice(0, most).toWellFormed()}…` : clean;
}
