/**
 * Ids name the object that they live in, so nothing has to be looked up to find it:
 *
 *   inst_<ULID>          an instance
 *   msg_<ULID>_<n>       message n of the instance with that ULID
 *   q_<ULID>_<n>         question n of the instance with that ULID
 *   job_<ULID>           a coordinated task
 *
 * A ULID sorts by its time of making and carries 80 random bits, so ids can't be guessed and pages of them keep
 * their order. Within one isolate ids of the same millisecond still ascend.
 */

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; // Crockford's base 32, as in the ULID specification
const INSTANCE_ID = /^inst_[0-9A-HJKMNP-TV-Z]{26}$/;
const QUESTION_ID = /^q_([0-9A-HJKMNP-TV-Z]{26})_(\d{1,12})$/;
const JOB_ID = /^job_[0-9A-HJKMNP-TV-Z]{26}$/;
const MESSAGE_ID = /^msg_([0-9A-HJKMNP-TV-Z]{26})_(\d{1,12})$/;

let lastTime = 0;
let lastRandom = new Uint8Array(10);

/** A new ULID. `now` is in ms since the epoch. */
export function ulid(now: number = Date.now()): string {
  if (now > lastTime) {
    lastTime = now;
    lastRandom = crypto.getRandomValues(new Uint8Array(10));
  } else {
    increment(lastRandom);
  }
  let out = "";
  for (let time = lastTime, i = 0; i < 10; i++, time = Math.floor(time / 32)) out = ALPHABET.charAt(time % 32) + out;
  return out + base32(lastRandom);
}

function increment(bytes: Uint8Array): void {
  for (let i = bytes.length - 1; i >= 0; i--) {
    const next = ((bytes[i] ?? 0) + 1) & 0xff;
    bytes[i] = next;
    if (next !== 0) return;
  }
}

function base32(bytes: Uint8Array): string {
  let out = "";
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out += ALPHABET.charAt((value >>> bits) & 31);
    }
  }
  return out;
}

export function newInstanceId(now?: number): string {
  return `inst_${ulid(now)}`;
}

export function isInstanceId(text: string): boolean {
  return INSTANCE_ID.test(text);
}

export function newJobId(now?: number): string {
  return `job_${ulid(now)}`;
}

export function isJobId(text: string): boolean {
  return JOB_ID.test(text);
}

/** The id of message `n` (from 0; 0 is the initial prompt) of an instance. */
export function messageIdOf(instanceId: string, n: number): string {
  return `msg_${instanceId.slice("inst_".length)}_${n}`;
}

/** The id of question `n` of an instance. */
export function questionIdOf(instanceId: string, n: number): string {
  return `q_${instanceId.slice("inst_".length)}_${n}`;
}

/** Where a question lives, or null when the text is no question id. */
export function parseQuestionId(text: string): { instanceId: string; n: number } | null {
  const match = QUESTION_ID.exec(text);
  return match ? { instanceId: `inst_${match[1]}`, n: Number(match[2]) } : null;
}

/** Where a message lives, or null when the text is no message id. */
export function parseMessageId(text: string): { instanceId: string; n: number } | null {
  const match = MESSAGE_ID.exec(text);
  return match ? { instanceId: `inst_${match[1]}`, n: Number(match[2]) } : null;
}
