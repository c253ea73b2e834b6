/** A schema says something that structured outputs can't. */
export class Inexpressible extends Error {
  readonly path: readonly string[];

  /** `message`: the rest of a sentence that begins with the path. */
  constructor(path: readonly string[], message: string) {
    super(message);
    this.path = path;
  }
}
