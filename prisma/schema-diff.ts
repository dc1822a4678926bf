import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PrismaPg } from '@prisma/adapter-pg';
import { ColumnTypeEnum, bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import * as engine from '@prisma/schema-engine-wasm/schema_engine_bg';
import pg from 'pg';

export const SCHEMA_PATH = fileURLToPath(new URL('schema.prisma', import.meta.url));

/** What is used here of the standard global, which neither `es2023` nor Node's types declare as a value. */
declare const WebAssembly: {
  instantiate(
    bytes: Uint8Array,
    imports: Record<string, object>,
  ): Promise<{ instance: { exports: { __wbindgen_start(): void } } }>;
};

/** Object id of PostgreSQL's type "char", with the quotes: one letter, used in the system catalogue. */
const LETTER = 18;

/**
 * The SQL that turns the live database at `databaseUrl` into what `schema` describes; empty when they are
 * equal. Prisma's engine does it, in its WebAssembly build, which needs no download.
 *
 * @param schema Text of a Prisma schema.
 * @throws Error when the schema is invalid or the database cannot be read.
 */
export async function diffToSchema(databaseUrl: string, schema: string): Promise<string> {
  await loadEngine();
  const files = [{ path: SCHEMA_PATH, content: schema }];
  const factory = bindMigrationAwareSqlAdapterFactory(new CatalogAdapter(databaseUrl));
  const session = await engine.SchemaEngine.new(
    { datamodels: [[SCHEMA_PATH, schema]] },
    () => undefined,
    factory,
  );
  try {
    const { stdout } = await session.diff({
      // The engine reads the database through the adapter; the schema only names the kind of database.
      from: { tag: 'schemaDatasource', files, configDir: dirname(SCHEMA_PATH) },
      to: { tag: 'schemaDatamodel', files },
      script: true,
      exitCode: null,
      filters: { externalTables: [], externalEnums: [] },
    });
    const sql = stdout ?? '';
    return sql.includes('This is an empty migration') ? '' : sql;
  } finally {
    session.free();
  }
}

/** Prisma's adapter refuses to pass on letters, which its own engine asks the catalogue for. */
class CatalogAdapter extends PrismaPg {
  override async connect() {
    const adapter = await super.connect();
    const letters = new Set<string>();
    const pool = adapter.underlyingDriver();
    const query = pool.query.bind(pool) as (config: pg.QueryConfig) => Promise<pg.QueryResult>;
    const queryAsText = async (config: pg.QueryConfig) => {
      const result = await query(config);
      for (const field of result.fields.filter(({ dataTypeID }) => dataTypeID === LETTER)) {
        letters.add(field.name);
        field.dataTypeID = pg.types.builtins.TEXT;
      }
      return result;
    };
    Object.assign(pool, { query: queryAsText });

    const queryRaw = adapter.queryRaw.bind(adapter);
    adapter.queryRaw = async (request) => {
      const result = await queryRaw(request);
      const columnTypes = result.columnTypes.map((type, column) =>
        letters.has(result.columnNames[column] ?? '') ? ColumnTypeEnum.Character : type,
      );
      return { ...result, columnTypes };
    };
    return adapter;
  }
}

let loading: Promise<void> | undefined;

/** The package's own entry point imports a `.wasm` file, which Node cannot do without a flag. */
function loadEngine(): Promise<void> {
  loading ??= (async () => {
    const entry = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm');
    const bytes = await readFile(new URL('schema_engine_bg.wasm', `file://${entry}`));
    const { instance } = await WebAssembly.instantiate(bytes, { './schema_engine_bg.js': engine });
    engine.__wbg_set_wasm(instance.exports);
    instance.exports.__wbindgen_start();
  })();
  return loading;
}
