/**
 * Flow control of an event socket. The runtime buffers whatever a socket is given, without bound, and has no `bufferedAmount`. So a
 * client has to show that it reads: frames carry receipts that nobody can guess, and only a receipt that comes back makes room for
 * more. Pure.
 */

/** Events that are sent beyond the last confirmed one, at most. */
const WINDOW_EVENTS = 5_000;
/** Characters that are sent beyond the last receipt that came back; the frame that exceeds it is still sent. */
const WINDOW_CHARACTERS = 1_000_000;
/** Between two receipts. At most 17 are on their way. */
const RECEIPT_CHARACTERS = 64_000;
/** Messages that a client may send before its first frame; each frame that it gets allows one more. */
const SPARE_FRAMES = 20;
/** How long there may be more for a client that makes no room. */
export const MAX_HELD_MS = 60_000;

/** Kept in the socket's attachment, which takes 2,048 bytes. */
export interface Position {
  /** The last sequence that was sent, and that was confirmed. */
  after: number;
  acked: number;
  /** Characters and frames so far. */
  sent: number;
  frames: number;
  /** Characters up to the last receipt that came back. */
  read: number;
  /** The receipts on their way, each with the characters up to the end of its frame. */
  receipts: { text: string; at: number }[];
  /** Messages of the client. */
  heard: number;
  /** Since when there is more than it has room for, in ms since the epoch. */
  heldSince: number | null;
}

export function startAt(seq: number, heard: number): Position {
  return { after: seq, acked: seq, sent: 0, frames: 0, read: 0, receipts: [], heard, heldSince: null };
}

export function hasRoom({ after, acked, sent, read }: Position): boolean {
  return after - acked < WINDOW_EVENTS && sent - read < WINDOW_CHARACTERS;
}

/** Whether the next frame asks for a receipt. */
export function wantsReceipt({ sent, read, receipts }: Position, characters: number): boolean {
  return sent + characters - (receipts.at(-1)?.at ?? read) >= RECEIPT_CHARACTERS;
}

/** A frame was sent, up to an event. */
export function afterFrame(position: Position, characters: number, after: number, receipt: string | null): Position {
  const sent = position.sent + characters;
  const receipts = receipt === null ? position.receipts : [...position.receipts, { text: receipt, at: sent }];
  return { ...position, after, sent, frames: position.frames + 1, receipts, heldSince: null };
}

/** There is more for a socket without room. */
export function held(position: Position, now: number): Position {
  return position.heldSince === null ? { ...position, heldSince: now } : position;
}

export function isGivenUp({ heldSince }: Position, now: number): boolean {
  return heldSince !== null && now - heldSince >= MAX_HELD_MS;
}

/** The client has sent a message. Null: one too many. */
export function afterHearing(position: Position): Position | null {
  const heard = position.heard + 1;
  return heard > SPARE_FRAMES + position.frames ? null : { ...position, heard };
}

/** The client confirms. A sequence that it was not sent yet, and a receipt that it was not given, count for nothing. */
export function afterAck(position: Position, ack: { seq: number; receipt: string | null }): Position {
  const acked = Math.max(position.acked, Math.min(ack.seq, position.after));
  const index = position.receipts.findIndex(({ text }) => text === ack.receipt);
  const came = position.receipts[index];
  if (!came) return { ...position, acked };
  return { ...position, acked, read: came.at, receipts: position.receipts.slice(index + 1) };
}
