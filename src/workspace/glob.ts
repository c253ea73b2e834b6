/**
 * Patterns for paths: `*` and `?` within a name, `**` for any number of folders. A pattern without a slash is for names
 * anywhere. Matched without regular expressions, in time at most the product of both lengths.
 */

/** Whether a normalised path, relative to the folder that is looked through, fits. */
export function fits(pattern: string, path: string): boolean {
  const segments = path.split("/");
  if (!pattern.includes("/")) return nameFits(pattern, segments.at(-1) ?? "");
  const parts = pattern.replace(/^\.?\//, "").split("/");
  // reach[i]: whether the parts so far can stand for the first i segments.
  let reach = [true, ...segments.map(() => false)];
  for (const part of parts) {
    const next = segments.map(() => false);
    const row = [false, ...next];
    if (part === "**") {
      for (let i = 0, seen = false; i <= segments.length; i++) {
        seen ||= reach[i] === true;
        row[i] = seen;
      }
    } else {
      segments.forEach((segment, i) => {
        row[i + 1] = reach[i] === true && nameFits(part, segment);
      });
    }
    reach = row;
  }
  return reach[segments.length] === true;
}

/** Two pointers and one point to go back to: the last star is the only one that matters. */
function nameFits(pattern: string, name: string): boolean {
  let p = 0;
  let n = 0;
  let star = -1;
  let from = 0;
  while (n < name.length) {
    if (p < pattern.length && pattern[p] === "*") {
      star = p++;
      from = n;
    } else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === name[n])) {
      p++;
      n++;
    } else if (star >= 0) {
      p = star + 1;
      n = ++from;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}
