import Markdown, { type MarkdownToJSX } from "markdown-to-jsx/react";
import type { ReactNode } from "react";

/**
 * What a model wrote, as Markdown. It comes from outside: HTML in it stays text, nothing is loaded, and links leave the page.
 */
export function Prose({ text }: { text: string }) {
  return (
    <div className="prose">
      <Markdown options={OPTIONS}>{text}</Markdown>
    </div>
  );
}

const OPTIONS: MarkdownToJSX.Options = {
  disableParsingRawHTML: true,
  forceBlock: true,
  wrapper: null,
  overrides: {
    a: Away,
    img: ({ src, alt }: { src?: string; alt?: string }) => <Away href={src}>{alt || src}</Away>,
    input: ({ checked }: { checked?: boolean }) => <span>{checked ? "☑" : "☐"}</span>,
    table: ({ children }: { children?: ReactNode }) => (
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so keys have to reach it.
      <section className="prose-table" aria-label="Table" tabIndex={0}>
        <table>{children}</table>
      </section>
    ),
    // Headings of an answer are no headings of the page.
    h1: Heading,
    h2: Heading,
    h3: Heading,
    h4: Heading,
    h5: Heading,
    h6: Heading,
  },
};

function Away({ href, children }: { href?: string; children?: ReactNode }) {
  return /^https?:/i.test(href ?? "") ? (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  ) : (
    <span>{children}</span>
  );
}

function Heading({ children }: { children?: ReactNode }) {
  return (
    <p className="prose-heading">
      <strong>{children}</strong>
    </p>
  );
}
