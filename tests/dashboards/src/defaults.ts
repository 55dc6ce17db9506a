/** What Grafana fills in where a dashboard says nothing. Options come from @grafana/schema, field options are ours. */
import { FieldColorModeId, type FieldConfigSource, ThresholdsMode } from '@grafana/data';
import {
  AxisColorMode,
  AxisPlacement,
  BarAlignment,
  GraphDrawStyle,
  GraphGradientMode,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LineInterpolation,
  type Panel,
  ScaleDistribution,
  StackingMode,
  TableCellDisplayMode,
  VisibilityMode,
} from '@grafana/schema';
import { defaultOptions as barGauge } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import { defaultOptions as stat } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import { defaultOptions as table } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import { defaultOptions as text } from '@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen';

const REDUCED = { reduceOptions: { values: false, calcs: ['lastNotNull'], fields: '' }, orientation: 'auto' };

const OPTIONS: Record<string, object> = {
  stat: { ...REDUCED, ...stat },
  bargauge: { ...REDUCED, ...barGauge },
  table,
  text,
  timeseries: { legend: { showLegend: true, displayMode: LegendDisplayMode.List, placement: 'bottom', calcs: [] } },
};

const CUSTOM: Record<string, object> = {
  timeseries: {
    drawStyle: GraphDrawStyle.Line,
    lineInterpolation: LineInterpolation.Linear,
    lineWidth: 1,
    fillOpacity: 0,
    gradientMode: GraphGradientMode.None,
    barAlignment: BarAlignment.Center,
    barWidthFactor: 0.6,
    spanNulls: false,
    showPoints: VisibilityMode.Auto,
    pointSize: 5,
    stacking: { mode: StackingMode.None, group: 'A' },
    axisPlacement: AxisPlacement.Auto,
    axisColorMode: AxisColorMode.Text,
    axisLabel: '',
    axisBorderShow: false,
    axisCenteredZero: false,
    scaleDistribution: { type: ScaleDistribution.Linear },
    hideFrom: { tooltip: false, viz: false, legend: false },
    thresholdsStyle: { mode: GraphThresholdsStyleMode.Off },
  },
  table: { align: 'auto', inspect: false, cellOptions: { type: TableCellDisplayMode.Auto } },
};

/** The options of a panel over those of its type. */
export function optionsOf<T>(panel: Panel): T {
  const own = (panel.options ?? {}) as Record<string, unknown>;
  const ours = OPTIONS[panel.type] as Record<string, unknown>;
  const nested = Object.fromEntries(
    ['legend', 'reduceOptions']
      .filter((key) => ours[key])
      .map((key) => [key, { ...(ours[key] as object), ...(own[key] as object) }])
  );
  return { ...ours, ...own, ...nested } as T;
}

export function fieldDefaults(panel: Panel, { defaults, overrides }: FieldConfigSource): FieldConfigSource {
  const footer = footerOf(panel);
  return {
    defaults: {
      mappings: [],
      thresholds: {
        mode: ThresholdsMode.Absolute,
        steps: [
          { value: -Infinity, color: 'green' },
          { value: 80, color: 'red' },
        ],
      },
      color: { mode: panel.type === 'timeseries' ? FieldColorModeId.PaletteClassic : FieldColorModeId.Thresholds },
      ...defaults,
      custom: { ...CUSTOM[panel.type], ...footer.custom, ...defaults.custom },
    },
    overrides: [...footer.overrides, ...overrides],
  };
}

/** Older Grafana had the footer in the options of the table; newer ones make field options of it. */
function footerOf(panel: Panel): { custom: object; overrides: FieldConfigSource['overrides'] } {
  const { footer } = (panel.options ?? {}) as { footer?: LegacyFooter };
  if (panel.type !== 'table' || !footer?.show) {
    return { custom: {}, overrides: [] };
  }
  const value = { reducers: footer.countRows ? ['countAll'] : (footer.reducer ?? ['sum']) };
  if (!footer.fields?.length) {
    return { custom: { footer: value }, overrides: [] };
  }
  const properties = [{ id: 'custom.footer', value }];
  return { custom: {}, overrides: [{ matcher: { id: 'byNames', options: { names: footer.fields } }, properties }] };
}

interface LegacyFooter {
  show?: boolean;
  reducer?: string[];
  countRows?: boolean;
  fields?: string[] | '';
}
