/** The file that is drawn: a dashboard as shipped, and what its queries answered. README.md describes it. */
import { type DataFrameDTO } from '@grafana/data';
import { type Dashboard, type Panel, type RowPanel } from '@grafana/schema';

export interface Annotation {
  time: number;
  title: string;
  text: string;
  color: string;
}

export interface ChosenValue {
  text: string | string[];
  value: string | string[];
}

export interface Answers {
  dashboard: Dashboard;
  now: number;
  from: number;
  to: number;
  variables: Record<string, ChosenValue>;
  panels: Record<string, DataFrameDTO[]>;
  annotations: Annotation[];
}

export type AnyPanel = Panel | RowPanel;

export async function loadAnswers(url: string): Promise<Answers> {
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`${url}: ${response.status}`);
  }
  return response.json();
}

export function isRow(panel: AnyPanel): panel is RowPanel {
  return panel.type === 'row';
}
