import { randomUUID } from 'node:crypto';

/** Bits that count within a millisecond: `rand_a` and the first 14 of `rand_b`. */
const COUNTER_LIMIT = 2 ** 26;

let lastMs = 0;
/** The first 48 bits, as text. */
let time = '';
let counter = 0;

/**
 * A new UUIDv7 (RFC 9562 §5.7), greater than all that this process made before: a counter that begins at random in each
 * millisecond stands before 48 random bits (§6.2, method 1). The random bits are those of `randomUUID`, which Node draws
 * for many at once; a call to the system for each id would cost more than all the rest.
 */
export function uuidv7(): string {
  const random = randomUUID();
  const now = Date.now();
  if (now > lastMs) {
    setTime(now);
    // Its highest bit stays 0, so that there is room to count.
    counter = Number.parseInt(random.slice(0, 8), 16) % (COUNTER_LIMIT / 2);
  } else {
    counter += 1;
    if (counter === COUNTER_LIMIT) {
      setTime(lastMs + 1);
      counter = 0;
    }
  }
  const high = (0x7000 | (counter >>> 14)).toString(16);
  const low = (0x8000 | (counter & 0x3fff)).toString(16);
  return `${time}-${high}-${low}-${random.slice(24)}`;
}

function setTime(ms: number): void {
  lastMs = ms;
  const digits = ms.toString(16).padStart(12, '0');
  time = `${digits.slice(0, 8)}-${digits.slice(8)}`;
}
