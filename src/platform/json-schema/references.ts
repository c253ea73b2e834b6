/** Where the references of a schema lead: `$ref` with `$id`, `$anchor` and JSON pointers, all within the one document. */
import { childrenOf, type Dialect, isObject, type SchemaObject } from "./schema.ts";

/** A document without an `$id` has this address. */
const NAMELESS = "json-schema:///";

export class References {
  readonly #resources = new Map<string, unknown>();
  readonly #anchors = new Map<string, unknown>();
  readonly #bases = new Map<SchemaObject, string>();
  readonly #targets = new Map<SchemaObject, unknown>();
  readonly #dialect: Dialect;

  /** `root` is nested no deeper than a stack can hold. */
  constructor(root: unknown, dialect: Dialect) {
    this.#dialect = dialect;
    this.#resources.set(NAMELESS, root);
    this.#read(root, NAMELESS);
  }

  /** What the schema's `$ref` names; undefined when that is nothing in this document. */
  target(schema: SchemaObject): unknown {
    if (!this.#targets.has(schema)) this.#targets.set(schema, this.#find(schema));
    return this.#targets.get(schema);
  }

  #find(schema: SchemaObject): unknown {
    const { $ref } = schema;
    if (typeof $ref !== "string") return undefined;
    const url = resolved($ref, this.#bases.get(schema) ?? NAMELESS);
    if (url === null) return undefined;
    const hash = url.indexOf("#");
    const address = hash < 0 ? url : url.slice(0, hash);
    const fragment = hash < 0 ? "" : decoded(url.slice(hash + 1));
    if (fragment === null || !this.#resources.has(address)) return undefined;
    if (fragment !== "" && !fragment.startsWith("/")) return this.#anchors.get(`${address}#${fragment}`);
    let at = this.#resources.get(address);
    let base = address;
    for (const step of fragment.split("/").slice(1)) {
      const key = step.replaceAll("~1", "/").replaceAll("~0", "~");
      if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) return undefined;
      at = (at as SchemaObject)[key];
      if (isObject(at)) base = this.#bases.get(at) ?? base;
    }
    // A schema that stands where none is expected was not read yet.
    if (isObject(at) && !this.#bases.has(at)) this.#read(at, base);
    return typeof at === "boolean" || isObject(at) ? at : undefined;
  }

  #read(schema: unknown, outer: string): void {
    if (!isObject(schema) || this.#bases.has(schema)) return;
    const base = this.#identify(schema, outer);
    this.#bases.set(schema, base);
    for (const key of ["$anchor", "$dynamicAnchor"]) {
      const anchor = schema[key];
      if (typeof anchor === "string") this.#anchors.set(`${base}#${anchor}`, schema);
    }
    for (const child of childrenOf(schema)) this.#read(child.schema, base);
  }

  /** The base of the references in a schema. */
  #identify(schema: SchemaObject, outer: string): string {
    const { $id } = schema;
    // Beside a reference, draft-07 reads nothing else.
    if (typeof $id !== "string" || (this.#dialect === "draft-07" && schema.$ref !== undefined)) return outer;
    if ($id.startsWith("#")) {
      this.#anchors.set(`${outer}${$id}`, schema);
      return outer;
    }
    const base = resolved($id, outer)?.replace(/#$/, "") ?? outer;
    if (!this.#resources.has(base)) this.#resources.set(base, schema);
    return base;
  }
}

function resolved(reference: string, base: string): string | null {
  if (reference === "" || reference === "#") return base;
  try {
    return new URL(reference, base).href;
  } catch {
    return null;
  }
}

function decoded(fragment: string): string | null {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return null;
  }
}
