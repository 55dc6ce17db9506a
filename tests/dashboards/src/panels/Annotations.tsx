import { type GrafanaTheme2 } from '@grafana/data';
import { type UPlotConfigBuilder } from '@grafana/ui';
import { useLayoutEffect } from 'react';
import uPlot from 'uplot';

import { type Annotation } from '../answers';

interface Props {
  config: UPlotConfigBuilder;
  annotations: Annotation[];
  range: { from: number; to: number };
  theme: GrafanaTheme2;
}

/** Dashed lines over the graph, each with a small triangle on the time axis. */
export function Annotations({ config, annotations, range, theme }: Props) {
  useLayoutEffect(() => {
    config.addHook('draw', (plot) => {
      for (const { time, color } of annotations.filter(({ time }) => range.from <= time && time <= range.to)) {
        mark(plot, time, theme.visualization.getColorByName(color || 'rgba(0, 211, 255, 1)'));
      }
    });
  }, [config, annotations, range, theme]);
  return null;
}

function mark({ ctx, bbox, valToPos }: uPlot, time: number, color: string): void {
  const x = valToPos(time, 'x', true);
  const bottom = bbox.top + bbox.height;
  const size = 5 * uPlot.pxRatio;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = color;
  ctx.lineWidth = 2;
  ctx.setLineDash([5, 5]);
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bottom);
  ctx.stroke();
  ctx.beginPath();
  ctx.moveTo(x, bottom);
  ctx.lineTo(x - size, bottom + size);
  ctx.lineTo(x + size, bottom + size);
  ctx.closePath();
  ctx.fill();
  ctx.restore();
}
