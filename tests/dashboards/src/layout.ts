/** Where Grafana puts panels: 24 columns, cells of 30 px, gaps of 8 px, everything moved up as far as it goes. */
import { type GridPos, type Panel } from '@grafana/schema';

import { type AnyPanel, isRow } from './answers';

const COLUMNS = 24;
const CELL = 30;
export const GAP = 8;

export interface Placed {
  panel: AnyPanel;
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Panels with their place in pixels; `stacked` is what Grafana does on a narrow screen. */
export function place(panels: AnyPanel[], width: number, stacked: boolean): Placed[] {
  const column = (width - GAP * (COLUMNS - 1)) / COLUMNS;
  const pixels = (cells: number, cell: number) => cells * cell + Math.max(0, cells - 1) * GAP;
  let below = 0;
  return compacted(opened(panels)).map(({ panel, at }) => {
    const height = pixels(at.h, CELL);
    if (stacked) {
      const y = below;
      below += height + GAP;
      return { panel, x: 0, y, width, height };
    }
    return { panel, x: at.x * (column + GAP), y: at.y * (CELL + GAP), width: pixels(at.w, column), height };
  });
}

interface Cell {
  panel: AnyPanel;
  at: GridPos;
}

/** The panels of a collapsed row live within it; drawn opened, they push down what comes after the row. */
function opened(panels: AnyPanel[]): Cell[] {
  let pushed = 0;
  return [...panels].sort(byPosition).flatMap((panel): Cell[] => {
    if (!panel.gridPos) {
      throw new Error(`Panel ${panel.id} has no gridPos`);
    }
    const at = { ...panel.gridPos, y: panel.gridPos.y + pushed };
    if (!isRow(panel)) {
      return [{ panel, at }];
    }
    const inner: Panel[] = panel.collapsed ? panel.panels : [];
    const top = Math.min(...inner.map((each) => each.gridPos!.y));
    const bottom = Math.max(...inner.map((each) => each.gridPos!.y + each.gridPos!.h));
    pushed += inner.length ? bottom - top : 0;
    const shown = inner.map((each) => ({ panel: each, at: { ...each.gridPos!, y: at.y + 1 + each.gridPos!.y - top } }));
    return [{ panel, at: { ...at, x: 0, w: COLUMNS, h: 1 } }, ...shown];
  });
}

function compacted(cells: Cell[]): Cell[] {
  const settled: Cell[] = [];
  for (const cell of cells.sort((a, b) => a.at.y - b.at.y || a.at.x - b.at.x)) {
    const at = { ...cell.at };
    const free = () => !settled.some((other) => overlap(other.at, at));
    // Nothing rises above the row it belongs to, since rows take the whole width.
    while (!free()) {
      at.y += 1;
    }
    while (at.y > 0 && (at.y--, free()));
    if (!free()) {
      at.y += 1;
    }
    settled.push({ panel: cell.panel, at });
  }
  return settled.sort((a, b) => a.at.y - b.at.y || a.at.x - b.at.x);
}

function overlap(a: GridPos, b: GridPos): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

function byPosition(a: AnyPanel, b: AnyPanel): number {
  return (a.gridPos?.y ?? 0) - (b.gridPos?.y ?? 0) || (a.gridPos?.x ?? 0) - (b.gridPos?.x ?? 0);
}
