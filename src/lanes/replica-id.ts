import { v7 as uuidv7 } from 'uuid';

/** Names this process among the replicas; a restarted gateway is a new replica. */
export class ReplicaId {
  readonly value = uuidv7();
}
