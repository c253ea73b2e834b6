import { pieces } from "./turns.ts";

/** What a model wrote: prose, and code between fences. */
export function Prose({ text }: { text: string }) {
  return pieces(text).map((piece, i) =>
    piece.code ? (
      <pre key={i}>{piece.text}</pre>
    ) : (
      <p className="prose" key={i}>
        {piece.text}
      </p>
    ),
  );
}
