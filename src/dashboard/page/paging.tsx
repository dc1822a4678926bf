/** Buttons to turn pages. */
export function Paging(props: {
  readonly label: string;
  readonly onPrevious: (() => void) | undefined;
  readonly onNext: (() => void) | undefined;
  readonly previous: string;
  readonly next: string;
  /** Where one is. */
  readonly place: string;
}) {
  return (
    <nav class="paging" aria-label={props.label}>
      <button type="button" disabled={props.onPrevious === undefined} onClick={props.onPrevious}>
        {props.previous}
      </button>
      <span>{props.place}</span>
      <button type="button" disabled={props.onNext === undefined} onClick={props.onNext}>
        {props.next}
      </button>
    </nav>
  );
}
