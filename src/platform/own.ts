/** Looking up a name from outside in a table: `constructor` and `toString` are names like others, and every object inherits them. */

/** What the table itself has under a name; undefined where it has nothing, or only inherits it. */
export function own<Value>(table: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
