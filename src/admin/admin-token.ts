import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OperatorToken } from '../http/operator-token.js';

/** The secret that opens the admin API. */
export class AdminToken extends OperatorToken {
  private readonly digest: Buffer;

  constructor(readonly value: string) {
    super();
    this.digest = sha256(value);
  }

  matches(presented: string): boolean {
    return timingSafeEqual(this.digest, sha256(presented));
  }

  /**
   * The configured token, else the one kept in the data folder, else a new one that is stored there, readable by the
   * owner only. `isNew` asks to show it, this once.
   */
  static async load(
    configured: string | undefined,
    dataDir: string,
  ): Promise<{ token: AdminToken; isNew: boolean }> {
    if (configured !== undefined) return { token: new AdminToken(configured), isNew: false };
    const file = join(dataDir, 'admin-token');
    const stored = await readFile(file, 'utf8').catch(() => '');
    if (stored.trim() !== '') return { token: new AdminToken(stored.trim()), isNew: false };
    const value = randomBytes(32).toString('base64url');
    await mkdir(dataDir, { recursive: true });
    await writeFile(file, `${value}\n`, { mode: 0o600 });
    // The mode above counts only for a file that is new.
    await chmod(file, 0o600);
    return { token: new AdminToken(value), isNew: true };
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
