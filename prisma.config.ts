import { defineConfig } from 'prisma/config';

// `prisma generate` needs no schema engine, yet the command line would download one. Naming any
// executable stops that, so a machine without access to the download host can still build.
if (process.argv.includes('generate')) {
  process.env['PRISMA_SCHEMA_ENGINE_BINARY'] ??= process.execPath;
}

export default defineConfig({ schema: 'prisma/schema.prisma', migrations: { path: 'prisma/migrations' } });
