import {
  type FieldDisplay,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  type VizOrientation,
} from '@grafana/data';
import { BigValue, BigValueTextMode, VizRepeater } from '@grafana/ui';
import { type Options } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';

import { fieldConfigOf } from '../data';
import { optionsOf } from '../defaults';
import { timeRange } from '../time';
import { type Drawn } from './drawn';


export function Stat({ panel, frames, width, height, title, around, range }: Drawn) {
  const options = optionsOf<Options>(panel);
  const fieldConfig = fieldConfigOf(panel);
  const named = Boolean(fieldConfig.defaults.displayName) || !title;
  const asked = options.textMode as BigValueTextMode;
  const textMode = asked === BigValueTextMode.Auto && named ? BigValueTextMode.ValueAndName : asked;
  return (
    <VizRepeater<FieldDisplay, ReturnType<typeof getDisplayValueAlignmentFactors>>
      source={frames}
      renderCounter={0}
      width={width}
      height={height}
      itemSpacing={3}
      autoGrid
      orientation={options.orientation as VizOrientation}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      getValues={() =>
        getFieldDisplayValues({
          data: frames,
          fieldConfig,
          reduceOptions: options.reduceOptions,
          replaceVariables: around.interpolate,
          theme: around.theme,
          timeZone: around.timeZone,
          sparkline: options.graphMode !== 'none',
          percentChange: options.showPercentChange,
        })
      }
      renderValue={({ value, width, height, count, alignmentFactors }) => (
        <BigValue
          value={value.display}
          sparkline={value.sparkline && { ...value.sparkline, timeRange: timeRange(range) }}
          width={width}
          height={height}
          count={count}
          colorMode={options.colorMode as never}
          graphMode={options.graphMode as never}
          justifyMode={options.justifyMode as never}
          textMode={textMode}
          text={options.text}
          alignmentFactors={alignmentFactors}
          percentChangeColorMode={options.percentChangeColorMode}
          disableWideLayout={!options.wideLayout}
          theme={around.theme}
        />
      )}
    />
  );
}
