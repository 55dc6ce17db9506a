import { type DataFrame } from '@grafana/data';
import { type Panel } from '@grafana/schema';

import { type Annotation } from '../answers';
import { type Surroundings } from '../data';

/** What every kind of panel gets: Grafana calls it PanelProps. */
export interface Drawn {
  panel: Panel;
  frames: DataFrame[];
  width: number;
  height: number;
  title: string;
  around: Surroundings;
  range: { from: number; to: number };
  annotations: Annotation[];
}
