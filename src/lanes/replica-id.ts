import { uuidv7 } from '../protocol/uuid.js';

/** Names this process among the replicas; a restarted gateway is a new replica. */
export class ReplicaId {
  readonly value = uuidv7();
}
