import type { TargetedSubmitEvent } from 'preact';
import { useState } from 'preact/hooks';
import { messageOf } from './api.js';
import { Confirm, Dialog } from './dialog.js';
import { textOf } from './form-text.js';
import type { ViewProps } from './frame.js';
import type { LiveFeed } from './live.js';
import type { NodeRow } from './shapes.js';

type NodeDialogProps = ViewProps & { readonly feed: LiveFeed; readonly onClose: () => void };

/** Registers a node, or changes one. */
export function NodeForm(props: NodeDialogProps & { readonly node?: NodeRow }) {
  const { api, act, feed, node, onClose } = props;
  const [problem, setProblem] = useState<string>();
  const [isBusy, setBusy] = useState(false);

  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const wishes = wishesOf(event.currentTarget, node !== undefined);
    setProblem(undefined);
    setBusy(true);
    try {
      const changed = await (node === undefined
        ? api.send<NodeRow>('POST', 'nodes', wishes)
        : api.send<NodeRow>('PATCH', `nodes/${node.id}`, wishes));
      feed.nodeChanged(changed);
      await act(() => Promise.resolve(), doneText(node, changed));
      onClose();
    } catch (error) {
      setProblem(messageOf(error));
      setBusy(false);
    }
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
            placeholder="its host and port"
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
        {problem !== undefined && (
          <p class="problem" role="alert">
            {problem}
          </p>
        )}
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

function doneText(before: NodeRow | undefined, { name, health }: NodeRow): string {
  if (before !== undefined) return `${name} is changed`;
  return health === 'up' ? `${name} is registered and up` : `${name} is registered, but does not answer yet`;
}

/** Asks whether a node should go, and what becomes of its jobs. */
export function RemoveNode({ api, act, feed, node, onClose }: NodeDialogProps & { readonly node: NodeRow }) {
  const [isForced, setForced] = useState(false);
  const remove = (): Promise<boolean> =>
    act(
      async () =>
        feed.nodeChanged(
          await api.send<NodeRow>('DELETE', `nodes/${node.id}${isForced ? '?force=true' : ''}`),
        ),
      isForced ? `${node.name} is removed` : `${node.name} goes once its jobs are done`,
    );
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
