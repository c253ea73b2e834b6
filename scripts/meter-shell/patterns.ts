/**
 * The regular expressions that the shell's own code has, judged: they run on the runtime's engine, over text that is anybody's. An
 * expression is linear in its text if the engine never goes over the same text again and again: from each beginning, or for
 * each way to divide it between two repetitions. Most show that by their form (`isPlainlyLinear`); the others were read.
 */

/** Not linear: what stands in their place. Each accepts what the other does, as far as its callers can tell. */
export const REWRITTEN: Readonly<Record<string, string>> = {
  // A run at the end: tried from each of its characters, unless nothing of it may come before.
  "/\\n+$/": "/(?<!\\n)\\n+$/",
  "/\\s+$/": "/(?<!\\s)\\s+$/",
  "/\\/+$/": "/(?<!\\/)\\/+$/",
  "/([bdfhMnrV]+)$/": "/(?<![bdfhMnrV])([bdfhMnrV]+)$/",
  // Something that is opened and not closed: a second opening ends the search for the end of the first.
  "/\\$(&|\\d+|<([^>]+)>)/g": "/\\$(&|\\d+|<([^<>]+)>)/g",
  "/\\(\\?P<([^>]+)>/g": "/\\(\\?P<([^<>]+)>/g",
  "/\\$\\{([^0-9}][^}]*)\\}/g": "/\\$\\{([^0-9{}][^{}]*)\\}/g",
  "/\\$(?:\\$|&|\\d+|<[^>]+>|`|')/g": "/\\$(?:\\$|&|\\d+|<[^<>]+>|`|')/g",
  "/\\[.*\\]/": "/\\[[^[\\]\\n\\r\\u2028\\u2029]*\\]/",
  "/\\[.+\\]$/": "/(?:^|[\\n\\r\\u2028\\u2029])[^[\\n\\r\\u2028\\u2029]*\\[.+\\]$/",
  // Two repetitions that can take the same characters.
  "/\\n\\s+at\\s.*/g": "/\\n[^\\S\\n]+at\\s.*/g",
  "/^([+-]?\\d*\\.?\\d+)\\s*([kmgtpeKMGTPE])?[iI]?[bB]?$/":
    "/^([+-]?(?:\\d+(?:\\.\\d+)?|\\.\\d+))\\s*([kmgtpeKMGTPE])?[iI]?[bB]?$/",
  "/%[-+]?[0-9]*\\.?[0-9]*(s|m|M|t|T)/": "/%[-+]?[0-9]*(?:\\.[0-9]*)?(s|m|M|t|T)/",
  "/^(\\d+\\.?\\d*)(s|m|h|d)?$/": "/^(\\d+(?:\\.\\d*)?)(s|m|h|d)?$/",
  "/^%([- +#0']*)(\\d*)(\\.(\\d*))?[diu]$/": "/^%([- +#0']*)((?:[1-9]\\d*)?)(\\.(\\d*))?[diu]$/",
  "/^%([- +#0']*)(\\d*)(\\.(\\d*))?o$/": "/^%([- +#0']*)((?:[1-9]\\d*)?)(\\.(\\d*))?o$/",
  "/^%([- +#0']*)(\\d*)(\\.(\\d*))?[xX]$/": "/^%([- +#0']*)((?:[1-9]\\d*)?)(\\.(\\d*))?[xX]$/",
  "/^%([- +#0']*)(\\d*)(\\.(\\d*))?[eEfFgG]$/": "/^%([- +#0']*)((?:[1-9]\\d*)?)(\\.(\\d*))?[eEfFgG]$/",
  "/^([a-fA-F0-9]+)\\s+[* ]?(.+)$/": "/^([a-fA-F0-9]+)\\s+[* ]?(.+)$/s",
};

/** Linear, though their form does not show it at once: their parts can't take each other's characters, or the text is short. */
export const LINEAR: ReadonlySet<string> = new Set([
  // Held to the beginning, and no character can belong to two repetitions that follow each other.
  "/^\\x25(?:([1-9]\\d*)\\$|\\(([^)]+)\\))?(\\+)?(0|'[^$])?(-)?(\\d+)?(?:\\.(\\d+))?([b-gijostTuvxX])/",
  "/^%(-?\\d*)(?:\\.(\\d+))?\\(([^)]*)\\)T/",
  "/^%(-?)(\\d*)(\\.(\\d*))?s$/",
  "/^[a-zA-Z_][a-zA-Z0-9_]*(?:\\[[^\\]\\n]+\\])?$/",
  "/^([a-zA-Z_][a-zA-Z0-9_]*)\\[(['\"]?)(.+?)\\2\\]$/",
  "/^([ugoa]*)([+\\-=])([rwxXst]*)$/",
  "/^\\(\\?([imsx]*)(-[imsx]*)?(:|$|\\))/",
  "/^\\\\{(\\d+)(,(\\d*)?)?\\\\}/",
  "/^#([nr]+)\\s*(?:\\n|$)/i",
  "/^-[sb]+w\\d+$/",
  "/^(\\d+)\\.(\\d+)$/",
  "/^(0|[1-9]\\d*)$/",
  "/^(-?\\d+)\\.\\.(-?\\d+)(?:\\.\\.(-?\\d+))?$/",
  "/^([a-zA-Z_][a-zA-Z0-9_]*)\\[(.+)\\]$/",
  "/^[a-zA-Z_][a-zA-Z0-9_]*(\\[.+\\])?$/",
  "/^([a-zA-Z_][a-zA-Z0-9_]*)\\[.+\\]$/",
  "/^[a-zA-Z_][a-zA-Z0-9_]*\\[(.+)\\]$/",
  "/^(\\[[^\\]]+\\]=)(.*)$/s",
  "/^[a-zA-Z_][a-zA-Z0-9_]*\\[[^\\]]+\\]$/",
  "/^[+-]?(\\d+#[a-zA-Z0-9@_]+|0[xX][0-9a-fA-F]+|0[0-7]+|\\d+)$/",
  "/^(\\d+)#([a-zA-Z0-9@_]+)$/",
  "/^([a-zA-Z_][a-zA-Z0-9_]*)=\\((.*)\\)$/s",
  "/^([a-zA-Z_][a-zA-Z0-9_]*)\\[([^\\]]+)\\]=(.*)$/s",
  "/^\\[([^\\]]+)\\]=(.*)$/",
  "/^([a-zA-Z_][a-zA-Z0-9_]*)\\+=\\((.*)\\)$/s",
  "/^([a-zA-Z_][a-zA-Z0-9_]*)\\+=(.*)$/",
  "/^([a-zA-Z_][a-zA-Z0-9_]*)(?:\\[(.*)\\])?$/",
  // It always matches: there is nothing to go back for.
  "/^%[-+0 #' ]*(\\d*)(?:\\.(\\d*))?/",
  "/([{}:;,]|\\s+)/",
  "/(\\d+)/",
  "/0+(?=\\d)/",
  // It begins with a character that its repetition can't take, so that a beginning ends the search of the one before.
  "/\\$([a-zA-Z_][a-zA-Z0-9_]*)/g",
  "/\\$([a-zA-Z_][a-zA-Z0-9_]*)(?![>0-9])/g",
  "/\\$[a-zA-Z_][a-zA-Z0-9_]*(?![{[(])/",
  "/\\$\\{([a-zA-Z_][a-zA-Z0-9_]*)\\}/g",
  "/\\\\\\\\[^\\s\\\\]+\\\\[^\\s'\",)}\\]:]+/g",
  "/\\\\u\\{[0-9A-Fa-f]+\\}/",
  "/\\\\x\\{([0-9A-Fa-f]+)\\}/g",
  "/\\*(\\.[a-zA-Z0-9]+)$/",
  "/classes\\d*\\.dex/",
  "/;type=([^;]+)$/",
  "/;filename=([^;]+)/",
  "/<<(-?)\\s*(['\"]?)([\\w-]+)\\2/g",
  // Its text is short: a number as it was formatted, a field of a file's header, a duration of at most 100 characters, what the runtime says of itself.
  "/\\.?0+$/",
  "/\\.?0+e/",
  "/\\0.*$/",
  "/\\00.*$/g",
  "/^(-?(?:\\d+)?\\.?\\d+) *(milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w|years?|yrs?|y)?$/i",
  "/(edge|trident)\\/(\\d+)/",
  "/firefox\\/(\\d+)/",
  "/applewebkit\\/(\\d+)/",
]);

/** Expressions that the code puts together of its own constants: how `diff` tells words, which nothing here asks for. */
export const OWN_EXPRESSIONS: ReadonlySet<string> = new Set([
  "`[<>]+|\\\\s+|[^<>]`",
  "`(\\\\r?\\\\n)|[<>]+|[^\\\\S\\\\n\\\\r]+|[^<>]`",
]);

/**
 * Whether the form alone shows it: there is at most one repetition without an end, and the expression holds to the beginning
 * or ends with it.
 */
export function isPlainlyLinear(literal: string): boolean {
  const end = literal.lastIndexOf("/");
  const source = literal.slice(1, end);
  let repetitions = 0;
  let last = -1;
  let inClass = false;
  for (let i = 0; i < source.length; i++) {
    const char = source[i];
    if (char === "\\") i++;
    else if (inClass) inClass = char !== "]";
    else if (char === "[") inClass = true;
    else if (char === "*" || char === "+" || /^\{\d+,\}/.test(source.slice(i, i + 8))) {
      repetitions += 1;
      last = i;
      // A lazy one.
      if (source[i + 1] === "?") i++;
    }
  }
  if (repetitions === 0) return true;
  const anchored = source.startsWith("^") && !literal.slice(end).includes("m") && !source.includes("|");
  return repetitions === 1 && (anchored || /^[*+]\??$/.test(source.slice(last)));
}
