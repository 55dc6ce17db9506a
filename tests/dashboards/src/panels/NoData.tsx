import { type DataFrame } from '@grafana/data';
import { type Panel } from '@grafana/schema';

import { fieldConfigOf } from '../data';

/** The text in the middle of a panel that has nothing to draw. */
export function NoData({ panel, frames, missing }: { panel: Panel; frames: DataFrame[]; missing?: string }) {
  const empty = !frames.some(({ length }) => length > 0);
  const text = empty || !missing ? (fieldConfigOf(panel).defaults.noValue ?? 'No data') : `Data is missing ${missing}`;
  return (
    <div style={{ height: '100%', display: 'flex', alignItems: 'center', justifyContent: 'center', textAlign: 'center' }}>
      {text}
    </div>
  );
}
