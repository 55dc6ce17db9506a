/**
 * Draws a dashboard from answers: node draw.mjs ANSWERS.json OUT_DIR [--theme dark|light]... [--width 1600]...
 * Writes OUT_DIR/<uid>-<theme>-<width>.png. Ends with 1, and says why, if anything in the page went wrong.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { chromium } from 'playwright-core';

const HERE = import.meta.dirname;
const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

async function main() {
  const { answersPath, out, themes, widths, scale } = asked();
  const answers = JSON.parse(await readFile(answersPath, 'utf8'));
  await mkdir(out, { recursive: true });
  const server = await serve(answersPath);
  const address = `http://127.0.0.1:${server.address().port}/`;
  const browser = await chromium.launch({ executablePath: browserPath(), args: ['--no-sandbox', '--disable-gpu'] });
  let failed = false;
  try {
    for (const theme of themes) {
      for (const width of widths) {
        const path = join(out, `${answers.dashboard.uid ?? 'dashboard'}-${theme}-${width}.png`);
        const wrong = await photograph(browser, `${address}?theme=${theme}`, path, { width, scale, now: answers.now });
        wrong.forEach((line) => console.error(`${theme}, ${width} px: ${line}`));
        failed ||= wrong.length > 0;
        if (wrong.length === 0) {
          console.log(path);
        }
      }
    }
  } finally {
    await browser.close();
    server.close();
  }
  process.exitCode = failed ? 1 : 0;
}

function asked() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      theme: { type: 'string', multiple: true, default: ['dark'] },
      width: { type: 'string', multiple: true, default: ['1600'] },
      scale: { type: 'string', default: '1' },
    },
  });
  const widths = values.width.map(Number);
  const fine = positionals.length === 2 && widths.every((width) => width >= 320) && Number(values.scale) > 0;
  if (!fine || !values.theme.every((theme) => ['dark', 'light'].includes(theme))) {
    console.error('draw.sh ANSWERS.json OUT_DIR [--theme dark|light]... [--width 1600]... [--scale 2]');
    process.exit(2);
  }
  const [answersPath, out] = positionals.map((path) => resolve(path));
  return { answersPath, out, themes: values.theme, widths, scale: Number(values.scale) };
}

function browserPath() {
  const path = [process.env.CHROMIUM, ...BROWSERS].find((each) => each && existsSync(each));
  if (!path) {
    console.error('No Chromium. On Debian: apt-get install --no-install-recommends chromium; or name one in CHROMIUM.');
    process.exit(2);
  }
  return path;
}

/** The picture, and all that the page complained about. */
async function photograph(browser, url, path, { width, scale, now }) {
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    deviceScaleFactor: scale,
    timezoneId: 'UTC',
    locale: 'en-US',
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  const wrong = [];
  page.on('console', (message) => message.type() === 'error' && wrong.push(message.text()));
  page.on('pageerror', (error) => wrong.push(error.stack ?? error.message));
  page.on('response', (response) => response.status() >= 400 && wrong.push(`${response.status()} ${response.url()}`));
  try {
    await page.clock.setFixedTime(now); // "3 hours ago" is measured from when the answers were given.
    await page.goto(url);
    await page.waitForFunction(() => window.drawn !== undefined, undefined, { timeout: 60_000 });
    await page.waitForLoadState('networkidle');
    wrong.push(...(await page.evaluate(() => window.drawn)));
    // Not only `fullPage`: tables draw nothing that is out of sight.
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    await page.setViewportSize({ width, height });
    await page.waitForTimeout(300);
    await page.screenshot({ path, animations: 'disabled' });
  } catch (error) {
    wrong.push(error.message);
  }
  await context.close();
  return wrong;
}

/** Where things are that Grafana's components ask for by address. */
const PLACES = [
  // Grafana's time picker wants it, and its package does not bring it.
  ['/public/build/img/icons/unicons/angle-double-left.svg', 'icons/angle-double-left.svg'],
  ['/public/build/img/icons/', 'node_modules/@grafana/ui/dist/public/img/icons/'],
  ['/public/fonts/inter/Inter-Regular.woff2', 'node_modules/@fontsource/inter/files/inter-latin-400-normal.woff2'],
  ['/public/fonts/inter/Inter-Medium.woff2', 'node_modules/@fontsource/inter/files/inter-latin-500-normal.woff2'],
  ['/public/fonts/inter/Inter-RegularItalic.woff2', 'node_modules/@fontsource/inter/files/inter-latin-400-italic.woff2'],
  ['/public/fonts/inter/Inter-MediumItalic.woff2', 'node_modules/@fontsource/inter/files/inter-latin-500-italic.woff2'],
  ['/public/fonts/roboto/', 'node_modules/@fontsource/roboto-mono/files/roboto-mono-latin-400-normal.woff2'],
  ['/', 'build/'],
];

const KINDS = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

function serve(answersPath) {
  const server = createServer(async ({ url }, response) => {
    const asked = decodeURIComponent(new URL(url, 'http://localhost').pathname);
    const path = asked === '/answers.json' ? answersPath : fileFor(asked === '/' ? '/index.html' : normalize(asked));
    try {
      const body = await readFile(path);
      response.writeHead(200, { 'content-type': KINDS[extname(path)] ?? 'application/octet-stream' }).end(body);
    } catch {
      response.writeHead(asked === '/favicon.ico' ? 204 : 404).end();
    }
  });
  return new Promise((listening) => server.listen(0, '127.0.0.1', () => listening(server)));
}

function fileFor(asked) {
  const [from, to] = PLACES.find(([prefix]) => asked.startsWith(prefix));
  return join(HERE, to.endsWith('/') ? to + asked.slice(from.length) : to);
}

await main();
