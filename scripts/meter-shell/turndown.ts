/** In the place of `turndown` in the metered shell, where `html-to-markdown` is not: it needs a document. */
export default class TurndownService {}
