import { z } from 'zod';

/** A JSON schema (draft 2020-12, as OpenAPI 3.1 takes it). */
export type JsonSchema = Record<string, unknown>;

/**
 * Turns zod schemas into JSON schemas and gathers those that have an id as components, to be referred to.
 */
export class JsonSchemas {
  readonly components: Record<string, JsonSchema> = {};

  /** @param io `input` for what callers send, `output` for what they get; dates are text there */
  of(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
    const {
      $schema: _,
      $defs = {},
      ...root
    } = z.toJSONSchema(schema, {
      io,
      unrepresentable: 'any',
      override: ({ zodSchema, jsonSchema }) => {
        if (zodSchema._zod.def.type === 'date')
          Object.assign(jsonSchema, { type: 'string', format: 'date-time' });
        // Given by `format` already.
        if (jsonSchema.format === 'uuid') delete jsonSchema.pattern;
      },
    });
    for (const [id, definition] of Object.entries($defs)) this.define(id, definition);
    return pointed(root) as JsonSchema;
  }

  private define(id: string, definition: object): void {
    const { id: _, ...members } = pointed(definition) as JsonSchema;
    const known = this.components[id];
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(members)) {
      throw new Error(`Two schemas have the id ${id}`);
    }
    this.components[id] = members;
  }
}

/** References to definitions of one schema become references to components. */
function pointed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(pointed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => {
      if (key !== '$ref' || typeof member !== 'string') return [key, pointed(member)];
      return [key, member.replace('#/$defs/', '#/components/schemas/')];
    }),
  );
}
