import { FieldType } from '@grafana/data';
import { type VizLegendOptions } from '@grafana/schema';
import { TimeSeries as GrafanaTimeSeries } from '@grafana/ui';

import { optionsOf } from '../defaults';
import { timeRange } from '../time';
import { Annotations } from './Annotations';
import { type Drawn } from './drawn';
import { NoData } from './NoData';

export function TimeSeries({ panel, frames, width, height, around, range, annotations }: Drawn) {
  const { legend } = optionsOf<{ legend: VizLegendOptions }>(panel);
  const has = (type: FieldType) => frames.some(({ fields }) => fields.some((field) => field.type === type));
  if (!has(FieldType.number)) {
    return <NoData panel={panel} frames={frames} missing="a number field" />;
  }
  if (!has(FieldType.time)) {
    return <NoData panel={panel} frames={frames} missing="a time field" />;
  }
  return (
    <GrafanaTimeSeries
      frames={frames}
      width={width}
      height={height}
      timeRange={timeRange(range)}
      timeZone={around.timeZone}
      legend={legend}
      options={panel.options as Record<string, unknown>}
    >
      {(config) => <Annotations config={config} annotations={annotations} range={range} theme={around.theme} />}
    </GrafanaTimeSeries>
  );
}
