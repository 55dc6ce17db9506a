/**
 * The page that draw.mjs photographs. `?theme=dark|light`; the answers are at `answers.json`.
 * When all is drawn, `window.drawn` holds what went wrong, or an empty list.
 */
import { createTheme, type DataFrame, ThemeContext } from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import { type Panel } from '@grafana/schema';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import { type ReactNode, useEffect } from 'react';
import { createRoot } from 'react-dom/client';

import { type Answers, isRow, loadAnswers } from './answers';
import { customIds, framesFor, registerGrafana, type Surroundings } from './data';
import { TYPES } from './DrawnPanel';
import { Grid } from './Grid';
import { Header } from './Header';
import { interpolator } from './interpolate';

declare global {
  interface Window {
    drawn?: string[];
  }
}

const errors: string[] = [];

async function main(): Promise<void> {
  const answers = await loadAnswers('answers.json');
  const theme = createTheme({
    colors: { mode: new URLSearchParams(location.search).get('theme') === 'light' ? 'light' : 'dark' },
  });
  const timeZone = answers.dashboard.timezone || 'utc';
  const around: Surroundings = { theme, timeZone, interpolate: interpolator(answers) };
  const panels = allPanels(answers);
  const { from, to } = answers;
  registerGrafana(customIds(panels), () => ({ from: String(from), to: String(to) }));
  await initPluginTranslations('vmcrawl');

  let fail: (error: unknown) => void;
  const failed = new Promise<never>((_, reject) => (fail = reject));
  const root = createRoot(document.getElementById('root')!, { onUncaughtError: (error) => fail(error) });
  /** Renders, and waits until it is on the screen, or React gave it up. */
  const shown = (children: ReactNode) =>
    Promise.race([
      failed,
      new Promise<void>((done) =>
        root.render(
          inTheme(
            <>
              {children}
              <Then done={done} />
            </>
          )
        )
      ),
    ]);
  const inTheme = (children: ReactNode) => (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      {children}
    </ThemeContext.Provider>
  );
  // Graphs measure their labels when they are made, so fonts come first.
  await shown(null);
  await Promise.all(['400 12px Inter', '500 12px Inter', '400 12px Roboto Mono'].map((font) => document.fonts.load(font)));

  const frames = new Map<number, DataFrame[] | Error>();
  await Promise.all(panels.map(async (panel) => frames.set(panel.id!, await answered(panel, answers, around))));
  await shown(
    <>
      <Header answers={answers} timeZone={timeZone} />
      <Grid
        {...{ answers, around, frames }}
        width={document.documentElement.clientWidth}
        onError={(message) => errors.push(message)}
      />
      <PortalContainer />
    </>
  );
  await document.fonts.ready;
  await new Promise((done) => setTimeout(done, 300)); // Grafana debounces some of its measuring.
  errors.push(...blankGraphs());
}

function allPanels({ dashboard }: Answers): Panel[] {
  return (dashboard.panels ?? []).flatMap((panel): Panel[] => (isRow(panel) ? panel.panels : [panel]));
}

async function answered(panel: Panel, answers: Answers, around: Surroundings): Promise<DataFrame[] | Error> {
  try {
    if (!TYPES[panel.type]) {
      throw new Error(`panels of type "${panel.type}" are not drawn`);
    }
    if (panel.repeat) {
      throw new Error('repeated panels are not drawn');
    }
    if (panel.type === 'text') {
      return [];
    }
    const own = answers.panels[String(panel.id)];
    if (!own) {
      throw new Error('the answers have nothing for it, not even an empty list');
    }
    return await framesFor(panel, own, around);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Panels with a graph on which nothing was drawn. */
function blankGraphs(): string[] {
  return [...document.querySelectorAll('canvas')]
    .filter((canvas) => {
      const { width, height } = canvas;
      const pixels = width && height && canvas.getContext('2d')!.getImageData(0, 0, width, height).data;
      return !pixels || pixels.every((value) => value === 0);
    })
    .map((canvas) => `Panel "${canvas.closest('[data-panel]')?.getAttribute('data-panel')}": its graph is blank`);
}

/** Tells when it has been drawn, and all before it. */
function Then({ done }: { done: () => void }) {
  useEffect(() => {
    requestAnimationFrame(() => requestAnimationFrame(done));
  }, [done]);
  return null;
}

main()
  .catch((error: Error) => errors.push(error.stack ?? error.message))
  .finally(() => (window.drawn = errors));
