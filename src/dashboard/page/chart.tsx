import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';

/** A line of a chart. */
export interface Line {
  readonly name: string;
  /** Name of a colour of the style sheet. */
  readonly colour: 'accent' | 'bad' | 'muted' | 'warn';
  readonly isFilled?: boolean;
  readonly isDashed?: boolean;
}

type Data = readonly (readonly (number | null)[])[];

const HEIGHT = 132;
const DARK = '(prefers-color-scheme: dark)';

/** Figures over time: a headline, the lines, and a legend with the values under the pointer, else the latest. */
export function Chart(props: {
  readonly title: string;
  readonly figure: string;
  readonly note: string;
  readonly lines: readonly Line[];
  /** Times in seconds, then the values of each line. */
  readonly data: Data;
  readonly format: (value: number | null) => string;
  /** How many seconds are shown. */
  readonly span: number;
}) {
  const { title, figure, note, lines, data, format, span } = props;
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [hovered, setHovered] = useState<number | null>(null);
  const isDark = useDark();

  useLayoutEffect(() => {
    const element = holder.current;
    if (element === null) return undefined;
    const made = new uPlot(optionsOf(element, lines, format, setHovered), uplotData(data), element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
    // Colours are read when a chart is made.
  }, [lines, format, isDark]);

  useLayoutEffect(() => {
    const until = data[0]?.at(-1);
    if (plot.current === null) return;
    plot.current.setData(uplotData(data), false);
    const max = until ?? Date.now() / 1_000;
    plot.current.setScale('x', { min: max - span, max });
  }, [data, span, lines, format, isDark]);

  const [times = []] = data;
  const isHovered = hovered !== null && hovered < times.length;
  const at = isHovered ? hovered : times.length - 1;
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        <span class="chart-figure">{figure}</span>
        <span class="chart-note">{note}</span>
      </figcaption>
      <div ref={holder} class="plot" role="img" aria-label={`${title} over time: now ${figure}, ${note}`} />
      <div class="legend" aria-hidden="true">
        {lines.map(({ name, colour }, index) => (
          <span>
            <i class={`swatch ${colour}`} />
            {name} <b>{format(data[index + 1]?.[at] ?? null)}</b>
          </span>
        ))}
        {isHovered && (
          <span class="legend-time">{new Date((times[at] ?? 0) * 1_000).toLocaleTimeString('en-GB')}</span>
        )}
      </div>
    </figure>
  );
}

function useDark(): boolean {
  const [isDark, setDark] = useState(() => matchMedia(DARK).matches);
  useEffect(() => {
    const query = matchMedia(DARK);
    const read = (): void => setDark(query.matches);
    query.addEventListener('change', read);
    return () => query.removeEventListener('change', read);
  }, []);
  return isDark;
}

/** uPlot writes to nothing that it is given, but its types do not say so. */
function uplotData(data: Data): uPlot.AlignedData {
  return data as unknown as uPlot.AlignedData;
}

function optionsOf(
  element: HTMLElement,
  lines: readonly Line[],
  format: (value: number | null) => string,
  onHover: (index: number | null) => void,
): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  const axis = {
    stroke: colour('muted'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: colour('line'), width: 1 },
    ticks: { show: false },
  };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    padding: [8, 16, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    scales: { y: { range: (_plot, _min, max) => [0, Math.max(1, max * 1.08)] } },
    axes: [
      { ...axis, size: 22, grid: { show: false }, space: 70, values: timeLabels },
      { ...axis, size: 58, space: 34, values: (_plot, splits) => splits.map((split) => format(split)) },
    ],
    series: [
      {},
      ...lines.map(({ name, colour: of, isFilled, isDashed }) => ({
        label: name,
        stroke: colour(of),
        width: 1.5,
        ...(isFilled === true ? { fill: colour(`${of}-faint`) } : {}),
        ...(isDashed === true ? { dash: [3, 3] } : {}),
        points: { show: false },
        // A span in which no job ended has no quantiles.
        spanGaps: true,
      })),
    ],
    hooks: { setCursor: [({ cursor }) => onHover(cursor.idx ?? null)] },
  };
}

function timeLabels(_plot: uPlot, splits: number[]): string[] {
  return splits.map((split) =>
    new Date(split * 1_000).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' }),
  );
}
