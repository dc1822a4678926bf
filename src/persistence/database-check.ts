import { Injectable } from '@nestjs/common';
import { Database } from './database.js';
import { MIGRATIONS_DIRECTORY, migrationNames } from './migrations.js';

/** What a look at the database found. */
export interface DatabaseState {
  readonly database: boolean;
  /** Every migration of this version is applied; false while the database does not answer. */
  readonly migrations: boolean;
}

/** Looks whether the database answers and has the schema that this version needs. */
@Injectable()
export class DatabaseCheck {
  private names: Promise<string[]> | undefined;

  constructor(private readonly database: Database) {}

  /** Never throws. */
  async look(): Promise<DatabaseState> {
    try {
      const names = await (this.names ??= migrationNames(MIGRATIONS_DIRECTORY));
      const [row] = await this.database.$queryRaw<{ applied: number }[]>`
        SELECT count(*)::int AS applied FROM _prisma_migrations
        WHERE migration_name = ANY(${names}) AND finished_at IS NOT NULL AND rolled_back_at IS NULL`;
      return { database: true, migrations: row?.applied === names.length };
    } catch {
      return { database: false, migrations: false };
    }
  }
}
