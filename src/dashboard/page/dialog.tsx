import type { ComponentChildren } from 'preact';
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks';

/** A modal dialog: the rest of the page is inert, Escape closes, and the focus goes back to where it was. */
export function Dialog(props: {
  readonly title: ComponentChildren;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
  readonly wide?: boolean;
}) {
  const { title, onClose, children, wide } = props;
  const dialog = useRef<HTMLDialogElement>(null);
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
      onClick={(event) => {
        if (event.target === dialog.current) onClose();
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
  /** @returns whether it went well, which closes the dialog */
  readonly onConfirm: () => Promise<boolean>;
  readonly children: ComponentChildren;
}) {
  const [isBusy, setBusy] = useState(false);
  const confirm = async (): Promise<void> => {
    setBusy(true);
    if (await props.onConfirm()) props.onClose();
    else setBusy(false);
  };
  return (
    <Dialog title={props.title} onClose={props.onClose}>
      {props.children}
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
