/** Small charts as SVG text. Colours follow the reader's scheme, light or dark. */

export interface BarChart {
  readonly title: string;
  readonly subtitle: string;
  /** One bar of a group for each. */
  readonly series: readonly string[];
  readonly logarithmic: boolean;
  readonly bars: readonly {
    readonly label: string;
    readonly emphasis: boolean;
    readonly values: readonly number[];
    readonly note?: string;
  }[];
  readonly format: (value: number) => string;
}

export interface StepChart {
  readonly title: string;
  readonly subtitle: string;
  readonly xLabel: string;
  readonly lines: readonly {
    readonly label: string;
    readonly truth: number;
    readonly points: readonly (readonly [number, number])[];
  }[];
}

const WIDTH = 760;
const LEFT = 140;
const RIGHT = 180;
const TOP = 84;
/** Told apart by lightness too, for those who do not see the hues. */
const STYLE = `
    text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #24292f; }
    .title { font-size: 17px; font-weight: 600; } .quiet { fill: #57606a; } .strong { font-weight: 700; }
    .grid { stroke: #d0d7de; stroke-width: 1; } .s0 { fill: #0b5cad; } .s1 { fill: #d9730d; } .s2 { fill: #6e7781; }
    .l0 { stroke: #0b5cad; } .l1 { stroke: #d9730d; } .l2 { stroke: #6e7781; }
    .line { fill: none; stroke-width: 2.5; } .truth { stroke-width: 1.5; stroke-dasharray: 5 4; }
    .dim { opacity: 0.72; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; } .quiet { fill: #9198a1; } .grid { stroke: #3d444d; }
      .s0 { fill: #58a6ff; } .s1 { fill: #f0a050; } .s2 { fill: #b0b8c1; }
      .l0 { stroke: #58a6ff; } .l1 { stroke: #f0a050; } .l2 { stroke: #b0b8c1; }
    }`;

/** Horizontal bars in groups. */
export function barChart({ title, subtitle, series, logarithmic, bars, format }: BarChart): string {
  const thickness = series.length > 1 ? 11 : 20;
  const group = thickness * series.length + 12;
  const height = TOP + bars.length * group + 16;
  const most = Math.max(...bars.flatMap(({ values }) => values));
  const scale = (value: number): number => {
    const share = logarithmic ? Math.log(Math.max(1, value) * 1.15) / Math.log(most * 1.15) : value / most;
    return Math.max(2, share * (WIDTH - LEFT - RIGHT));
  };
  const body = bars.map(({ label, emphasis, values, note = '' }, row) => {
    const top = TOP + row * group;
    const strong = emphasis ? ' class="strong"' : '';
    const parts = values.map((value, index) => {
      const y = top + index * thickness;
      const width = scale(value).toFixed(1);
      const text = `${format(value)}${note}`;
      return (
        `<rect class="s${index}${emphasis ? '' : ' dim'}" x="${LEFT}" y="${y}" width="${width}" height="${thickness - 2}" rx="2"/>` +
        `<text${strong} x="${(LEFT + Number(width) + 6).toFixed(1)}" y="${y + thickness / 2 + 3}">${escape(text)}</text>`
      );
    });
    const middle = top + (thickness * series.length) / 2 + 4;
    return `<text${strong} x="${LEFT - 10}" y="${middle}" text-anchor="end">${escape(label)}</text>${parts.join('')}`;
  });
  const legend = series.length > 1 ? series.map((name, index) => legendEntry(name, index)) : [];
  return svg(title, subtitle, height, [...legend, ...body]);
}

/** Lines that change in steps, each with the value that it should find. */
export function stepChart({ title, subtitle, xLabel, lines }: StepChart): string {
  const height = 360;
  const bottom = height - 44;
  const mostX = Math.max(...lines.flatMap(({ points }) => points.map(([x]) => x)));
  const mostY = Math.max(...lines.flatMap(({ points, truth }) => [truth, ...points.map(([, y]) => y)]));
  const left = 50;
  const right = WIDTH - 110;
  const xOf = (x: number): string => (left + (x / mostX) * (right - left)).toFixed(1);
  const yOf = (y: number): string => (bottom - (y / (mostY + 0.5)) * (bottom - TOP)).toFixed(1);
  const parts: string[] = [];
  for (let y = 0; y <= mostY; y += 2) {
    parts.push(`<line class="grid" x1="${left}" x2="${right}" y1="${yOf(y)}" y2="${yOf(y)}"/>`);
    parts.push(`<text class="quiet" x="${left - 8}" y="${Number(yOf(y)) + 4}" text-anchor="end">${y}</text>`);
  }
  for (let x = 0; x <= mostX; x += 10) {
    parts.push(`<text class="quiet" x="${xOf(x)}" y="${bottom + 18}" text-anchor="middle">${x}</text>`);
  }
  parts.push(
    `<text class="quiet" x="${(left + right) / 2}" y="${bottom + 36}" text-anchor="middle">${escape(xLabel)}</text>`,
  );
  lines.forEach(({ label, truth, points }, index) => {
    const path = points
      .map(([x, y], at) => (at === 0 ? `M${xOf(x)} ${yOf(y)}` : `H${xOf(x)}V${yOf(y)}`))
      .join('');
    parts.push(
      `<line class="truth l${index}" x1="${left}" x2="${right}" y1="${yOf(truth)}" y2="${yOf(truth)}"/>`,
    );
    parts.push(`<path class="line l${index}" d="${path}"/>`);
    parts.push(`<text x="${right + 8}" y="${Number(yOf(truth)) + 4}">${escape(label)}</text>`);
  });
  return svg(title, subtitle, height, parts);
}

function legendEntry(name: string, index: number): string {
  const x = LEFT + index * 130;
  return `<rect class="s${index}" x="${x}" y="58" width="12" height="12" rx="2"/><text class="quiet" x="${x + 18}" y="69">${escape(name)}</text>`;
}

function svg(title: string, subtitle: string, height: number, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escape(title)}">
  <style>${STYLE}
  </style>
  <text class="title" x="16" y="26">${escape(title)}</text>
  <text class="quiet" x="16" y="46">${escape(subtitle)}</text>
  ${parts.join('\n  ')}
</svg>
`;
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
