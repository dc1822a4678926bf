import { Injectable } from '@nestjs/common';
import { Database } from '../persistence/database.js';

/** What a node answered to a question about its resources. `body` are its bytes. */
export interface StoredResources {
  readonly nodeId: string;
  readonly body: Uint8Array;
  /** How long ago it answered, in ms, by the clock of the database. */
  readonly ageMs: number;
  readonly seenAt: Date;
}

/** Answers are forgotten so long after the node gave them, unless they are about no model in particular. */
const MODEL_ANSWERS_LAST = '1 hour';

/**
 * What nodes last answered to `GET /resources`. The replica that works with a node asks it; from here the others know,
 * too. `question` is a model id, or empty for the resources themselves.
 */
@Injectable()
export class ResourcesRepository {
  constructor(private readonly database: Database) {}

  async save(nodeId: string, question: string, body: Buffer): Promise<void> {
    await this.database.$executeRaw`
      INSERT INTO node_resources (node_id, question, body, seen_at)
      VALUES (${nodeId}::uuid, ${question}, ${body}, clock_timestamp())
      ON CONFLICT (node_id, question) DO UPDATE SET body = excluded.body, seen_at = excluded.seen_at`;
  }

  /** The answers to a question that were given after a time, or all. */
  async since(question: string, after: Date | undefined): Promise<StoredResources[]> {
    return this.database.$queryRaw<StoredResources[]>`
      SELECT node_id AS "nodeId", body, seen_at AS "seenAt",
             (extract(epoch FROM clock_timestamp() - seen_at) * 1000)::float8 AS "ageMs"
      FROM node_resources
      WHERE question = ${question} AND (${after ?? null}::timestamptz IS NULL OR seen_at > ${after ?? null}::timestamptz)`;
  }

  /** Deletes what nobody will ask for again. @returns how many answers */
  async deleteOld(): Promise<number> {
    return this.database.$executeRaw`
      DELETE FROM node_resources USING nodes
      WHERE nodes.id = node_id AND (state = 'removed'
        OR (question <> '' AND seen_at < now() - ${MODEL_ANSWERS_LAST}::interval))`;
  }
}
