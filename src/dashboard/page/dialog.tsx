import type { ComponentChildren } from 'preact';
import { useId, useLayoutEffect, useRef } from 'preact/hooks';
import { useAction } from './action.js';
import { Problem } from './problem.js';

/** A modal dialog: the rest of the page is inert, Escape closes, and the focus goes back to where it was. */
export function Dialog(props: {
  readonly title: ComponentChildren;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
  readonly wide?: boolean;
}) {
  const { title, onClose, children, wide } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  /** Whether the pointer went down beside the dialog: text that is selected beyond its edge must not close it. */
  const isPressedBeside = useRef(false);
  const titleId = useId();
  useLayoutEffect(() => {
    const before = document.activeElement;
    const element = dialog.current;
    element?.showModal();
    return () => {
      element?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={wide === true ? 'wide' : undefined}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onPointerDown={(event) => {
        isPressedBeside.current = event.target === dialog.current;
      }}
      onClick={(event) => {
        if (event.target === dialog.current && isPressedBeside.current) onClose();
      }}
    >
      <div class="dialog-body">
        <header>
          <h2 id={titleId}>{title}</h2>
          <button type="button" class="quiet" aria-label="Close" onClick={onClose}>
            ×
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}

/** Asks before something is done that cannot be taken back. */
export function Confirm(props: {
  readonly title: string;
  readonly action: string;
  readonly onClose: () => void;
  /** When it went well the dialog closes, else it says why not. */
  readonly onConfirm: () => Promise<unknown>;
  readonly children: ComponentChildren;
}) {
  const { problem, isBusy, run } = useAction();
  const confirm = async (): Promise<void> => {
    if (await run(props.onConfirm)) props.onClose();
  };
  return (
    <Dialog title={props.title} onClose={props.onClose}>
      {props.children}
      <Problem text={problem} />
      <footer>
        <button type="button" autofocus onClick={props.onClose}>
          Keep
        </button>
        <button type="button" class="danger" disabled={isBusy} onClick={() => void confirm()}>
          {props.action}
        </button>
      </footer>
    </Dialog>
  );
}
