import {
  type FieldDisplay,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  VizOrientation,
} from '@grafana/data';
import { BarGaugeDisplayMode, BarGaugeSizing } from '@grafana/schema';
import { type Options } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import { BarGauge as GrafanaBarGauge, VizRepeater } from '@grafana/ui';

import { fieldConfigOf } from '../data';
import { optionsOf } from '../defaults';
import { type Drawn } from './drawn';


export function BarGauge({ panel, frames, width, height, title, around }: Drawn) {
  const options = optionsOf<Options>(panel);
  const orientation = oriented(options.orientation as VizOrientation, width, height);
  const spacing = options.displayMode === BarGaugeDisplayMode.Lcd ? 2 : 10;
  return (
    <VizRepeater<FieldDisplay, ReturnType<typeof getDisplayValueAlignmentFactors>>
      source={frames}
      renderCounter={0}
      width={width}
      height={height}
      itemSpacing={spacing}
      orientation={orientation}
      {...sizes(options, orientation)}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      getValues={() =>
        getFieldDisplayValues({
          data: frames,
          fieldConfig: fieldConfigOf(panel),
          reduceOptions: options.reduceOptions,
          replaceVariables: around.interpolate,
          theme: around.theme,
          timeZone: around.timeZone,
        })
      }
      renderValue={({ value: { field, display, view, colIndex }, width, height, count, alignmentFactors }) => (
        <GrafanaBarGauge
          // A lone bar is named by its panel, unless it has a name of its own.
          value={count === 1 && title && !field.displayName ? { ...display, title: undefined } : display}
          field={field}
          display={colIndex === undefined ? undefined : view?.getFieldDisplayProcessor(colIndex)}
          width={width}
          height={height}
          orientation={orientation}
          itemSpacing={spacing}
          displayMode={options.displayMode}
          valueDisplayMode={options.valueMode}
          namePlacement={options.namePlacement}
          showUnfilled={options.showUnfilled}
          text={options.text}
          alignmentFactors={count > 1 ? alignmentFactors : undefined}
          theme={around.theme}
        />
      )}
    />
  );
}

function oriented(orientation: VizOrientation, width: number, height: number): VizOrientation {
  if (orientation !== VizOrientation.Auto) {
    return orientation;
  }
  return width > height ? VizOrientation.Vertical : VizOrientation.Horizontal;
}

/** How thin or thick bars may become; `auto` leaves the upper bound open. */
function sizes(options: Options, orientation: VizOrientation) {
  if (options.sizing === BarGaugeSizing.Manual) {
    const { minVizWidth, minVizHeight, maxVizHeight } = options;
    return orientation === VizOrientation.Horizontal ? { minVizHeight, maxVizHeight } : { minVizWidth };
  }
  return orientation === VizOrientation.Horizontal ? { minVizHeight: 16, maxVizHeight: 300 } : { minVizWidth: 8 };
}
