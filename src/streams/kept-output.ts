/** The first bytes of a stream's output, up to a limit, and how many there were in all. */
export class KeptOutput {
  bytes = 0;
  private kept = Buffer.alloc(0);
  private length = 0;

  constructor(private readonly limit: number) {}

  add(chunk: Buffer): void {
    this.bytes += chunk.length;
    const count = Math.min(chunk.length, this.limit - this.length);
    if (count <= 0) return;
    if (this.length + count > this.kept.length) {
      const larger = Buffer.allocUnsafe(Math.min(this.limit, Math.max(4_096, 2 * (this.length + count))));
      this.kept.copy(larger, 0, 0, this.length);
      this.kept = larger;
    }
    chunk.copy(this.kept, this.length, 0, count);
    this.length += count;
  }

  get beginning(): Buffer {
    return this.kept.subarray(0, this.length);
  }
}
