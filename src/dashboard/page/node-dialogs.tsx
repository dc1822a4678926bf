import type { TargetedSubmitEvent } from 'preact';
import { useState } from 'preact/hooks';
import { useAction } from './action.js';
import { Confirm, Dialog } from './dialog.js';
import { textOf } from './form-text.js';
import type { ViewProps } from './frame.js';
import type { LiveFeed } from './live.js';
import { Problem } from './problem.js';
import type { NodeDetail, NodeRow } from './shapes.js';

type NodeDialogProps = ViewProps & { readonly feed: LiveFeed; readonly onClose: () => void };

/** Registers a node, or changes one. */
export function NodeForm(props: NodeDialogProps & { readonly node?: NodeRow }) {
  const { api, tell, feed, node, onClose } = props;
  const { problem, isBusy, run } = useAction();

  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const wishes = wishesOf(event.currentTarget, node !== undefined);
    const isDone = await run(async () => {
      const changed = await (node === undefined
        ? api.send<NodeDetail>('POST', 'nodes', wishes)
        : api.send<NodeDetail>('PATCH', `nodes/${node.id}`, wishes));
      feed.nodeChanged(changed);
      tell(doneText(node, changed));
    });
    if (isDone) onClose();
  };

  return (
    <Dialog title={node === undefined ? 'Register a node' : `Edit ${node.name}`} onClose={onClose}>
      <form class="fields" onSubmit={(event) => void submit(event)}>
        <label>
          Address
          <input
            name="url"
            type="text"
            inputMode="url"
            required
            autofocus
            placeholder="http://10.0.0.5:4000"
            defaultValue={node?.url}
          />
        </label>
        <label>
          Name
          <input
            name="name"
            type="text"
            maxLength={200}
            required={node !== undefined}
            placeholder="its host, port and path"
            defaultValue={node?.name}
          />
        </label>
        <label>
          Weight
          <input
            name="weight"
            type="number"
            min="0.01"
            max="1000"
            step="any"
            required
            defaultValue={String(node?.weight ?? 1)}
          />
          <span class="hint">Its share of work relative to other nodes.</span>
        </label>
        <label>
          Cap
          <input
            name="cap"
            type="number"
            min="1"
            step="1"
            placeholder="none"
            defaultValue={String(node?.maxInFlight ?? '')}
          />
          <span class="hint">The most jobs on the node at a time.</span>
        </label>
        <Problem text={problem} />
        <footer>
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={isBusy}>
            {node === undefined ? 'Register' : 'Save'}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

function wishesOf(form: HTMLFormElement, isKnown: boolean): object {
  const text = (name: string): string => textOf(form, name);
  const name = text('name');
  return {
    url: text('url'),
    ...(name === '' ? {} : { name }),
    weight: Number(text('weight')),
    ...(text('cap') === '' ? (isKnown ? { maxInFlight: null } : {}) : { maxInFlight: Number(text('cap')) }),
  };
}

function doneText(before: NodeRow | undefined, { name, health }: NodeDetail): string {
  if (before !== undefined) return `${name} is changed`;
  return health === 'up' ? `${name} is registered and up` : `${name} is registered, but does not answer yet`;
}

/** Asks whether a node should go, and what becomes of its jobs. */
export function RemoveNode({ api, tell, feed, node, onClose }: NodeDialogProps & { readonly node: NodeRow }) {
  const [isForced, setForced] = useState(false);
  const remove = async (): Promise<void> => {
    const query = isForced ? '?force=true' : '';
    feed.nodeChanged(await api.send<NodeDetail>('DELETE', `nodes/${node.id}${query}`));
    tell(isForced ? `${node.name} is removed` : `${node.name} goes once its jobs are done`);
  };
  return (
    <Confirm title={`Remove ${node.name}?`} action="Remove" onClose={onClose} onConfirm={remove}>
      <p>
        It gets no new jobs and leaves once its{' '}
        {node.inFlight === 1 ? 'one job is' : `${node.inFlight} jobs are`} done. The history of its jobs
        stays.
      </p>
      <label class="check">
        <input
          type="checkbox"
          checked={isForced}
          onChange={(event) => setForced(event.currentTarget.checked)}
        />
        Remove it now, and give its jobs to other nodes
      </label>
    </Confirm>
  );
}
