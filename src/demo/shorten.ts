const LONGEST_STRING = 64;
const SHOWN_ELEMENTS = 3;
const MOST_ELEMENTS = 5;

/** JSON for people: long strings are cut, and of long lists the first elements and the length are shown. */
export function shortJson(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(shortText(value));
  if (Array.isArray(value)) {
    const shown = value.length > MOST_ELEMENTS ? value.slice(0, SHOWN_ELEMENTS) : value;
    const elements = shown.map(shortJson);
    if (shown.length < value.length) elements.push(`... ${value.length.toLocaleString('en')} in all`);
    return `[${elements.join(',')}]`;
  }
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(([key, member]) => `${JSON.stringify(key)}:${shortJson(member)}`);
  return `{${members.join(',')}}`;
}

/** Lines of at most `width` characters, broken between members, elements and parameters where there are any. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const piece of text.split(/(?<=[,&])(?=\S)/)) {
    if (line !== '' && line.length + piece.length > width) {
      lines.push(line);
      line = '';
    }
    line += piece;
  }
  return [...lines, line];
}

function shortText(text: string): string {
  if (text.length <= LONGEST_STRING) return text;
  return `${text.slice(0, LONGEST_STRING)}... (${text.length.toLocaleString('en')} characters)`;
}
