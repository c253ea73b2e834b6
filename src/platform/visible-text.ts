/**
 * Text as a person has to see it who decides on it: a character that shows nothing, looks like a space, or changes the order in
 * which the others are shown could hide what is decided on.
 */

/**
 * Control, format, unassigned and private-use characters and lone surrogates (C), line and paragraph separators, spaces but the
 * plain one, what renderers ignore by default (fillers, selectors, tags), and the blank Braille pattern.
 */
const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/gu;

/** JSON with each of these written as `\uXXXX`: the same value for every parser, and all of it to be seen. */
export function withInvisibleEscaped(json: string): string {
  return json.replace(INVISIBLE, (found) =>
    Array.from({ length: found.length }, (_, i) => `\\u${found.charCodeAt(i).toString(16).padStart(4, "0")}`).join(""),
  );
}
