/** Where nodes come from that nobody registered by hand. */
export interface NodeSource {
  readonly name: 'file' | 'explorer';
  /** The nodes of the last list that could be used, as normalised URLs; undefined while there was none. */
  readonly urls: readonly string[] | undefined;
  start(): Promise<void>;
  /** Safe when never started, safe twice. */
  stop(): void;
}
