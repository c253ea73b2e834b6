/**
 * The OpenAPI document as a page to read: plain HTML, no script, nothing from elsewhere.
 */
import { html, raw } from "hono/html";
import type { Described, Json, OpenApi } from "./document.ts";

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 3rem; text-transform: capitalize }
section { border-top: 1px solid #8884; padding: .5rem 0 1rem }
code, pre { font: .85rem/1.45 ui-monospace, monospace }
pre { overflow-x: auto; padding: .75rem; background: #8881; border-radius: .4rem }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8882 }
.method { display: inline-block; min-width: 4em; font-weight: 600 }
nav a { margin-right: 1em; white-space: nowrap }`;

interface Row {
  name: string;
  type: string;
  description: string;
}

/** The page, and the header that lets nothing run in it but its own style. */
export function docsPage(document: OpenApi, nonce: string): Response {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
  const sections = document.tags.map(({ name }) => {
    const own = operations.filter(({ operation }) => operation.tags.includes(name));
    return html`<h2 id="${name}">${name}</h2>${own.map(section)}`;
  });
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Madrox REST API</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<style nonce="${nonce}">${raw(STYLE)}</style>
</head>
<body>
<h1>Madrox REST API</h1>
<p>The same tools as over MCP, with the same JSON. Send an access key as <code>Authorization: Bearer</code>. For programs:
<a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>
<nav>${document.tags.map(({ name }) => html`<a href="#${name}">${name}</a>`)}</nav>
${sections}
</body>
</html>`;
  return new Response(String(page), {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": `default-src 'none'; style-src 'nonce-${nonce}'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`,
    },
  });
}

function section({ path, method, operation }: { path: string; method: string; operation: Described }) {
  const [type, body] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  const fields: Row[] = [...parameterRows(operation), ...(body ? fieldRows(body.schema) : [])];
  const answer = operation.responses["200"]?.content as Record<string, { example?: unknown }> | undefined;
  const example = Object.values(answer ?? {})[0]?.example;
  return html`<section id="${operation.operationId}">
<h3><span class="method">${method}</span> <code>${path}</code></h3>
<p>${operation.description ?? `${operation.summary}.`}</p>
${fields.length > 0 ? table(fields) : ""}
${type && type !== "application/json" ? html`<p>The body is <code>${type}</code>.</p>` : ""}
${body?.example === undefined ? "" : html`<p>Request</p><pre>${JSON.stringify(body.example, null, 2)}</pre>`}
${example === undefined ? "" : html`<p>Answer</p><pre>${JSON.stringify(example, null, 2)}</pre>`}
</section>`;
}

function table(rows: Row[]) {
  const line = ({ name, type, description }: Row) =>
    html`<tr><td><code>${name}</code></td><td>${type}</td><td>${description}</td></tr>`;
  return html`<table><tr><th>name</th><th>type</th><th></th></tr>${rows.map(line)}</table>`;
}

function parameterRows({ parameters = [] }: Described): Row[] {
  return parameters.map(({ name, in: place, required, schema, description = "" }) => ({
    name: required ? `${name} *` : name,
    type: `${typeOf(schema)}, ${place}`,
    description,
  }));
}

function fieldRows(schema: Json): Row[] {
  const required = new Set(schema.required as string[] | undefined);
  return Object.entries((schema.properties ?? {}) as Record<string, Json>).map(([name, field]) => ({
    name: required.has(name) ? `${name} *` : name,
    type: typeOf(field),
    description:
      String(field.description ?? "") +
      (field.default === undefined ? "" : ` Default: ${JSON.stringify(field.default)}.`),
  }));
}

function typeOf(schema: Json): string {
  if (Array.isArray(schema.enum)) return schema.enum.join(" | ");
  const either = (schema.anyOf ?? schema.oneOf) as Json[] | undefined;
  if (either) return either.map(typeOf).join(" or ");
  if (schema.type === "array") return `list of ${typeOf((schema.items ?? {}) as Json)}`;
  return typeof schema.type === "string" ? schema.type : "any";
}
