import { StringDecoder } from 'node:string_decoder';

/**
 * The result that is kept of a stream whose output is too long: as a node would give it, with the beginning of the output,
 * `truncated` and the length of the whole output in bytes of UTF-8.
 */
export function truncatedStreamResult(container: string, beginning: Buffer, bytes: number): Buffer {
  // A character that the limit cuts in two is left out.
  const output = new StringDecoder('utf8').write(beginning);
  return Buffer.from(JSON.stringify({ container, output: { output, truncated: true, bytes } }));
}

/** The result of a stream whose whole output is known, as a node would give it. */
export function wholeStreamResult(container: string, whole: Buffer): Buffer {
  return Buffer.from(JSON.stringify({ container, output: { output: whole.toString() } }));
}

/**
 * A node's result of a stream: as it is, or truncated if its output is longer than `keepBytes`. The output counts in bytes of
 * UTF-8, which a node may write as up to six times as many.
 */
export function keptStreamResult(result: Buffer, keepBytes: number): Buffer {
  if (result.length <= keepBytes) return result;
  const { container, output } = JSON.parse(result.toString()) as {
    container: string;
    output: { output?: unknown };
  };
  const whole = Buffer.from(typeof output.output === 'string' ? output.output : JSON.stringify(output));
  if (whole.length <= keepBytes) return result;
  return truncatedStreamResult(container, whole.subarray(0, keepBytes), whole.length);
}
