/**
 * A meter in JavaScript: every round of a loop and every call of a function takes one unit, and so do some 32 characters or 4
 * items that a native function goes over. What is inserted calls the functions of the prelude. Between two commands of a
 * script the host may let others compute.
 */
import { parseAst } from "vite";
import { isPlainlyLinear, LINEAR, OWN_EXPRESSIONS, REWRITTEN } from "./patterns.ts";

/** A node of the syntax tree, in the form of ESTree. */
interface Node {
  type: string;
  start: number;
  end: number;
  [part: string]: unknown;
}

/**
 * What the inserted code calls. `$left` counts down; below 0 the host is asked for more, which may throw. Names with these
 * letters are not in the shell's code: `instrumented` sees to it.
 */
export const PRELUDE = `
let $left = 0, $granted = 0;
const $used = () => { const used = $granted - $left; $granted = $left; return used; };
const $reset = () => { $granted = $left = 0; };
const $refill = () => { const used = $used(); $granted = $left = 0; $granted = $left = host.refill(used); };
const $over = (length, shift) => { if (($left -= length >>> shift) < 0) $refill(); };
const $text = (value) => {
  if (typeof value === "string") $over(value.length, 5);
  else if (typeof value === "object" && value !== null) {
    const length = value instanceof Set || value instanceof Map ? value.size : value.length;
    if (typeof length === "number") $over(length, 2);
  }
  return value;
};
const $sort = (list) => {
  const length = list?.length;
  if (typeof length === "number") $over(length * (32 - Math.clz32(length)), 1);
  return list;
};
const $collated = (value) => {
  if (typeof value === "string") $over(value.length + 64, 2);
  return value;
};
function $refused() {
  throw new Error("An expression of a script never runs on the engine of the runtime.");
}
const $size = (size) => {
  if (typeof size !== "number") return $text(size);
  $over(Math.min(size, 2 ** 31), 5);
  return size;
};
`;
const ROUND = "if(--$left<0)$refill();";
const CALL = "--$left<0&&$refill(),";

/** Methods that go over what they are called on. */
const OVER_RECEIVER = new Set(
  "indexOf lastIndexOf includes split replace replaceAll join concat reverse fill copyWithin toLowerCase toUpperCase trim trimStart trimEnd toWellFormed match matchAll search map filter some every find findIndex findLast findLastIndex forEach reduce reduceRight flat flatMap unshift splice toReversed toSpliced with".split(
    " ",
  ),
);
/** Methods that go over their first argument. */
const OVER_ARGUMENT = new Set("test exec from parse encode decode set fromEntries assign allocUnsafe".split(" "));
/** Methods that make something as large as their first argument says. */
const OF_SIZE = new Set(["repeat", "padStart", "padEnd", "alloc"]);
/** Calls whose result is as large as their work. */
const OVER_RESULT = new Set(["Object.keys", "Object.values", "Object.entries", "JSON.stringify"]);
/** Methods that look every character up. */
const COLLATES = new Set(["localeCompare", "normalize"]);
const SORTS = new Set(["sort", "toSorted"]);
/** Functions by name: of the runtime, and what is imported from `node:zlib`. */
const FUNCTIONS_OVER_BOTH = new Set(["structuredClone", "encodeURIComponent", "decodeURIComponent"]);
const IMPORTED_OVER_BOTH = /^g(?:un)?zipSync$/;
/** Where a script may rest: asynchronous methods that are awaited wherever they are called. */
const RESTS = new Set(["executeStatement", "executeCommand"]);
/** A command is some 50 µs of promises, beside what the meter sees. */
const REST = "$over(2000,0);if(host.due)await host.pause();";
const CONSTRUCTORS = /^(?:Set|Map|Array|Blob|(?:Ui|I)nt(?:8|16|32)(?:Clamped)?Array|Float(?:32|64)Array|ArrayBuffer)$/;

/** Text to insert, or to put in the place of what is between `start` and `end`. */
interface Edit {
  start: number;
  end: number;
  text: string;
  /** Closing texts at a place come before opening ones, inner before outer. */
  closes: boolean;
}

/** The code with a meter. Throws for a regular expression that nobody has judged. */
export function instrumented(code: string): string {
  const program = parseAst(code);
  const edits: Edit[] = [];
  const unjudged = new Set<string>();
  const overBoth = new Set(FUNCTIONS_OVER_BOTH);
  const rests = new Set<string>();
  let told = 0;
  const around = (node: Node, open: string, close = ")") => {
    const inner = node.type === "SequenceExpression" ? ["(", ")"] : ["", ""];
    // As in `of[...list]`.
    const space = /[\w$]/.test(code[node.start - 1] ?? "") ? " " : "";
    edits.push({ start: node.start, end: node.start, text: space + open + inner[0], closes: false });
    edits.push({ start: node.end, end: node.end, text: inner[1] + close, closes: true });
  };
  const at = (place: number, text: string) => edits.push({ start: place, end: place, text, closes: false });

  const visit = (node: Node, inChain: boolean): void => {
    switch (node.type) {
      case "Identifier":
        if (/^\$(?:left|granted|used|reset|refill|over|text|sort|collated|refused|size)$/.test(String(node.name))) {
          throw new Error(`The shell has a variable of its own named ${String(node.name)}.`);
        }
        break;
      case "ImportSpecifier":
        if (IMPORTED_OVER_BOTH.test(String((node.imported as Node).name)))
          overBoth.add(String((node.local as Node).name));
        break;
      case "MethodDefinition": {
        const name = String((node.key as Node).name);
        const { async, body } = node.value as Node;
        if (!RESTS.has(name)) break;
        if (async !== true || rests.has(name)) throw new Error(`${name} is not the method that is known here.`);
        rests.add(name);
        at(afterDirectives(body as Node), REST);
        break;
      }
      case "Literal":
        if ("regex" in node) judge(node);
        break;
      case "ForStatement":
      case "ForInStatement":
      case "ForOfStatement":
      case "WhileStatement":
      case "DoWhileStatement": {
        const body = node.body as Node;
        if (body.type === "BlockStatement") at(body.start + 1, ROUND);
        else around(body, `{${ROUND}`, "}");
        break;
      }
      case "FunctionDeclaration":
      case "FunctionExpression":
      case "ArrowFunctionExpression": {
        const body = node.body as Node;
        if (!callsAnything(body)) break;
        if (body.type !== "BlockStatement") around(body, `(${CALL}`);
        else at(afterDirectives(body), ROUND);
        break;
      }
      case "SpreadElement":
        around(node.argument as Node, "$text(");
        break;
      case "NewExpression": {
        refuseExpressions(node);
        tellRefused(node);
        const [first] = node.arguments as Node[];
        const callee = node.callee as Node;
        if (first && first.type !== "SpreadElement" && CONSTRUCTORS.test(String(callee.name))) around(first, "$size(");
        break;
      }
      case "CallExpression":
        visitCall(node, inChain);
        break;
    }
    for (const child of childrenOf(node)) {
      visit(child, node.type === "ChainExpression" || (inChain && isLink(node, child)));
    }
  };

  const visitCall = (node: Node, inChain: boolean) => {
    const callee = node.callee as Node;
    const [first, second] = node.arguments as Node[];
    const plain = first && first.type !== "SpreadElement" ? first : undefined;
    if (callee.type === "Identifier") {
      refuseExpressions(node);
      tellRefused(node);
      if (!plain || !overBoth.has(String(callee.name))) return;
      around(plain, "$text(");
      around(node, "$text(");
      return;
    }
    if (callee.type !== "MemberExpression" || callee.computed) return;
    const object = callee.object as Node;
    const method = String((callee.property as Node).name);
    if (object.type === "Identifier" && OVER_RESULT.has(`${String(object.name)}.${method}`)) {
      around(node, "$text(");
      return;
    }
    if (plain && OVER_ARGUMENT.has(method)) around(plain, "$text(");
    if (plain && OF_SIZE.has(method)) around(plain, "$size(");
    if (method === "apply" && second && second.type !== "SpreadElement") around(second, "$text(");
    // What may be cut short by a `?.` before it must not be taken out of its chain.
    const movable = object.type !== "Super" && !(inChain && hasOptionalLink(object));
    if (movable && OVER_RECEIVER.has(method)) around(object, "$text(");
    if (movable && COLLATES.has(method)) around(object, "$collated(");
    if (movable && SORTS.has(method)) around(object, "$sort(");
  };

  /** An expression that is made of a text: only those of the code's own parts are made. */
  const refuseExpressions = (node: Node) => {
    const { name, start, end } = node.callee as Node;
    const [source] = node.arguments as Node[];
    if (name !== "RegExp" || !source) return;
    const text = code.slice(source.start, source.end).replace(/\$\{\w+\}/g, "<>");
    // A constructor or a plain call: both take any function.
    if (!OWN_EXPRESSIONS.has(text)) edits.push({ start, end, text: "$refused", closes: false });
  };

  /** An error for an expression that RE2 does not take: the host hears of it, because some commands keep it to themselves. */
  const tellRefused = (node: Node) => {
    const text = (node.arguments as Node[])[0];
    if ((node.callee as Node).name !== "SyntaxError" || !text) return;
    if (!/^[`"']Invalid regular expression: /.test(code.slice(text.start, text.end))) return;
    around(node, "host.refused(");
    told += 1;
  };

  const judge = (node: Node) => {
    const literal = code.slice(node.start, node.end);
    const rewritten = REWRITTEN[literal];
    if (rewritten !== undefined) edits.push({ start: node.start, end: node.end, text: rewritten, closes: false });
    else if (!isPlainlyLinear(literal) && !LINEAR.has(literal)) unjudged.add(literal);
  };

  visit(program as unknown as Node, false);
  if (told === 0) throw new Error("The error of expressions that are refused is not there.");
  if (rests.size < RESTS.size) throw new Error("The methods in which a script may rest are not there.");
  if (unjudged.size > 0) {
    throw new Error(`Judge these expressions in scripts/meter-shell/patterns.ts:\n${[...unjudged].join("\n")}`);
  }
  const made = applied(code, edits);
  parseAst(made);
  return made;
}

function applied(code: string, edits: readonly Edit[]): string {
  const ordered = edits
    .map((edit, index) => ({ ...edit, index }))
    .sort((a, b) => a.start - b.start || (a.closes === b.closes ? order(a, b) : a.closes ? -1 : 1));
  let out = "";
  let at = 0;
  for (const { start, end, text } of ordered) {
    out += code.slice(at, start) + text;
    at = end;
  }
  return out + code.slice(at);
}

/** Outer nodes were visited first: they open first and close last. */
function order(a: { closes: boolean; index: number }, b: { index: number }): number {
  return a.closes ? b.index - a.index : a.index - b.index;
}

function afterDirectives(block: Node): number {
  const directives = (block.body as Node[]).filter((statement) => "directive" in statement && statement.directive);
  return directives.at(-1)?.end ?? block.start + 1;
}

/** Whether a function's body calls anything: one that does not is no more work than its caller's round. */
function callsAnything(node: Node): boolean {
  if (/^(?:CallExpression|NewExpression|TaggedTemplateExpression|ImportExpression)$/.test(node.type)) return true;
  if (/Function/.test(node.type)) return false;
  return childrenOf(node).some(callsAnything);
}

/** Whether a child is a link of the same optional chain as its parent. */
function isLink(node: Node, child: Node): boolean {
  return (
    (node.type === "MemberExpression" && child === node.object) ||
    (node.type === "CallExpression" && child === node.callee)
  );
}

function hasOptionalLink(node: Node): boolean {
  if (node.type !== "MemberExpression" && node.type !== "CallExpression") return false;
  if (node.optional === true) return true;
  return hasOptionalLink((node.type === "MemberExpression" ? node.object : node.callee) as Node);
}

function childrenOf(node: Node): Node[] {
  return Object.values(node)
    .flatMap((part) => (Array.isArray(part) ? part : [part]))
    .filter(isNode);
}

function isNode(part: unknown): part is Node {
  return typeof part === "object" && part !== null && typeof (part as Node).type === "string" && "start" in part;
}
