/** A longer line is not an id. */
const LONGEST = 1_024;
const LINE_FEED = 0x0a;

/** Takes a node's first line, the id that it knows the job by, off the front of its bytes. */
export class IdLine {
  /** The node's id, once the line has come whole. */
  id: string | undefined;
  private start: Buffer = Buffer.alloc(0);

  /**
   * @returns what of the chunk is output
   * @throws Error when what comes is no id line
   */
  strip(chunk: Buffer): Buffer {
    if (this.id !== undefined) return chunk;
    const bytes = this.start.length === 0 ? chunk : Buffer.concat([this.start, chunk]);
    const at = bytes.indexOf(LINE_FEED);
    if (at > LONGEST || (at === -1 && bytes.length > LONGEST)) throw new Error('the stream has no id line');
    if (at === -1) {
      this.start = bytes;
      return Buffer.alloc(0);
    }
    this.id = bytes.toString('utf8', 0, at).trimEnd();
    return bytes.subarray(at + 1);
  }
}
