/** Text from outside has to be UTF-8: what is not would be kept garbled, with replacement characters that nobody sent. */

export function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Whether what stands behind the percent signs of a query or a form is UTF-8. A sign without two digits stands for itself. */
export function isPercentEncodedUtf8(text: string): boolean {
  const runs = text.match(/(?:%[0-9a-f]{2})+/gi) ?? [];
  return runs.every((run) => isUtf8(Uint8Array.from(run.slice(1).split("%"), (digits) => Number.parseInt(digits, 16))));
}
