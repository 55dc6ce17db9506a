/** The panels at their places. */
import { css } from '@emotion/css';
import { type DataFrame, type GrafanaTheme2 } from '@grafana/data';
import { Icon, useStyles2 } from '@grafana/ui';

import { type Annotation, type Answers, isRow } from './answers';
import { type Surroundings } from './data';
import { DrawnPanel } from './DrawnPanel';
import { GAP, place } from './layout';

/** Below this, Grafana puts all panels in one column. */
const NARROW = 768;

interface Props {
  answers: Answers;
  around: Surroundings;
  frames: Map<number, DataFrame[] | Error>;
  width: number;
  onError: (message: string) => void;
}

export function Grid({ answers, around, frames, width, onError }: Props) {
  const styles = useStyles2(stylesOf);
  const inner = width - 2 * PADDING;
  const placed = place(answers.dashboard.panels ?? [], inner, width < NARROW);
  const height = Math.max(0, ...placed.map(({ y, height }) => y + height));
  return (
    <main style={{ position: 'relative', height: height + PADDING + GAP, margin: `0 ${PADDING}px` }}>
      {placed.map(({ panel, x, y, width, height }) => (
        <div key={panel.id} style={{ position: 'absolute', left: x, top: y, width, height }}>
          {isRow(panel) ? (
            <div className={styles.row}>
              <Icon name="angle-down" />
              {around.interpolate(panel.title ?? '')}
            </div>
          ) : (
            <div data-panel={panel.title || panel.id}>
              <DrawnPanel
                panel={panel}
                width={width}
                height={height}
                around={around}
                range={answers}
                frames={frames.get(panel.id!) ?? []}
                annotations={annotationsFor(answers, panel.id!)}
                onError={(error) => onError(`Panel ${panel.id} "${panel.title}": ${error.message}`)}
              />
            </div>
          )}
        </div>
      ))}
    </main>
  );
}

const PADDING = 16;

/** A dashboard's annotations may name the panels that show them. The answers don't say from which query each came. */
function annotationsFor({ dashboard, annotations }: Answers, id: number): Annotation[] {
  const [own] = (dashboard.annotations?.list ?? []).filter(({ builtIn, enable }) => !builtIn && enable);
  const filter = own?.filter;
  return filter?.ids && filter.ids.includes(id) === Boolean(filter.exclude) ? [] : annotations;
}

const stylesOf = (theme: GrafanaTheme2) => ({
  row: css({
    display: 'flex',
    alignItems: 'center',
    gap: theme.spacing(1),
    height: '100%',
    fontSize: theme.typography.h5.fontSize,
    fontWeight: theme.typography.fontWeightMedium,
  }),
});
