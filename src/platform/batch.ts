/**
 * Gathers what comes in until the event loop gets round to it, and handles it together: a hundred answers that arrive at once
 * are one transaction and one look at what follows from them, not a hundred.
 */
export class Batch<Item> {
  readonly #handle: (items: readonly Item[]) => void;
  #items: Item[] = [];
  #handled: Promise<void> | undefined;

  /** `handle` is called with one item or more, in the order of their coming. */
  constructor(handle: (items: readonly Item[]) => void) {
    this.#handle = handle;
  }

  /** Resolves once the item is handled; rejects with what `handle` threw. */
  add(item: Item): Promise<void> {
    this.#items.push(item);
    this.#handled ??= new Promise<void>((task) => setTimeout(task, 0)).then(() => {
      const items = this.#items;
      this.#items = [];
      this.#handled = undefined;
      this.#handle(items);
    });
    return this.#handled;
  }
}
