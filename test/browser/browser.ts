import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { pathOf } from '../support/requirements.js';

/** Chromium's names on the systems that tests run on. */
export const CHROMIUM = 'chromium';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'];

/** Starts Debian's Chromium without a window. */
export async function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: pathOf(CHROMIUM) ?? CHROMIUM, args: FLAGS });
}

/** What went wrong in pages, or was asked of others than the gateway: both should stay empty. */
export interface Misdeeds {
  readonly problems: string[];
  readonly foreign: string[];
}

/** Notes errors of all pages of a context, and requests that leave the origin. */
export function watch(context: BrowserContext, origin: string): Misdeeds {
  const misdeeds: Misdeeds = { problems: [], foreign: [] };
  context.on('console', (message) => {
    // A request that the gateway refuses, or does not answer while it is away, is logged by the browser itself.
    const isExpected = /Failed to load resource|ERR_/.test(message.text());
    if (message.type() === 'error' && !isExpected) misdeeds.problems.push(message.text());
  });
  context.on('weberror', (error) => misdeeds.problems.push(error.error().message));
  context.on('request', (request) => {
    if (!request.url().startsWith(`${origin}/`)) misdeeds.foreign.push(request.url());
  });
  return misdeeds;
}

/** Controls that a screen reader could not name, ids that are there twice, and headings that skip a level. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const faults: string[] = [];
    const visible = (element: Element): boolean => element.getClientRects().length > 0;
    const nameOf = (element: Element): string => {
      const labels = [...((element as HTMLInputElement).labels ?? [])].map((label) => label.textContent);
      const text = element.matches('input, select, textarea') ? '' : (element.textContent ?? '');
      return [element.getAttribute('aria-label') ?? '', ...labels, text].join('').trim();
    };
    for (const control of document.querySelectorAll('button, a[href], input, select, textarea, meter')) {
      if (visible(control) && nameOf(control) === '')
        faults.push(`no name: ${control.outerHTML.slice(0, 120)}`);
    }
    for (const element of document.querySelectorAll('table, nav, dialog, section')) {
      const isNamed =
        element.hasAttribute('aria-label') ||
        document.getElementById(element.getAttribute('aria-labelledby') ?? '') !== null ||
        element.querySelector(':scope > caption') !== null;
      if (!isNamed) faults.push(`no name: ${element.outerHTML.slice(0, 120)}`);
    }
    const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
    for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push(`id twice: ${id}`);
    if (document.querySelectorAll('main').length !== 1) faults.push('not one main landmark');
    return faults;
  });
}

/** Pairs of colours of the style sheet whose contrast is below WCAG's AA, 4.5. */
export async function weakContrasts(page: Page, scheme: 'light' | 'dark'): Promise<string[]> {
  await page.emulateMedia({ colorScheme: scheme });
  return page.evaluate(() => {
    const style = getComputedStyle(document.documentElement);
    const luminance = (name: string): number => {
      const hex = style.getPropertyValue(`--${name}`).trim();
      const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => {
        const part = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (a: string, b: string): number => {
      const [low = 0, high = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
      return (high + 0.05) / (low + 0.05);
    };
    const pairs = ['text', 'muted', 'accent', 'ok', 'warn', 'bad'].flatMap((text) =>
      ['page', 'surface'].map((ground): [string, string] => [text, ground]),
    );
    pairs.push(['on-accent', 'accent'], ['text', 'raised']);
    return pairs
      .filter(([text, ground]) => !(contrast(text, ground) >= 4.5))
      .map(([text, ground]) => `${text} on ${ground}: ${contrast(text, ground).toFixed(2)}`);
  });
}
