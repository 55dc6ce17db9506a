/**
 * What a classic dashboard of ours may say: Grafana's published types, made as narrow as they can be.
 *
 * They leave open what depends on the type of panel, and they have enums where JSON has words. Both is mended here.
 * Marked as ours: what Grafana accepts, and its types don't have, or not any more.
 */
import { type DataTransformerID, type FieldMatcherID } from '@grafana/data';
import {
  type Dashboard as GrafanaDashboard,
  type DataSourceRef,
  type FieldConfig,
  type GraphFieldConfig,
  type HideableFieldConfig,
  type Panel,
  type RowPanel,
  type TableFieldOptions,
  type VariableModel,
  type VariableOption,
} from '@grafana/schema';
import type * as barGauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as text from '@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen';
import type * as timeSeries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/** A dashboard without its panels, which are checked one by one. */
export type Dashboard = Json<Omit<GrafanaDashboard, 'panels' | 'templating' | 'annotations' | 'links'>> & {
  uid: string;
  title: string;
  links?: Link[];
  templating?: { list?: Variable[] };
  annotations?: { list?: Annotation[] };
};

export type Row = Json<Omit<RowPanel, 'panels'>>;
export type Stat = Typed<'stat', stat.Options>;
export type BarGauge = Typed<'bargauge', barGauge.Options, HideableFieldConfig>;
export type TimeSeries = Typed<'timeseries', timeSeries.Options, GraphFieldConfig>;
export type Table = Typed<'table', table.Options & LegacyTable, TableFieldOptions>;
export type Text = Typed<'text', text.Options>;

/** Enums as JSON writes them, all the way down. */
type Json<T> = 0 extends 1 & T // any
  ? T
  : T extends string
    ? `${T}`
    : T extends number
      ? `${T}` extends `${infer N extends number}`
        ? N
        : never
      : T extends boolean | null | undefined
        ? T
        : T extends Array<infer Item>
          ? Json<Item>[]
          : T extends object
            ? { [Key in keyof T]: Json<T[Key]> }
            : T;

/** Grafana fills in what an option leaves out. */
type Sparse<T> = T extends Array<unknown> ? T : T extends object ? { [Key in keyof T]?: Sparse<T[Key]> } : T;

type Typed<Type extends string, Options, Custom = {}> = Json<
  Omit<Panel, 'type' | 'options' | 'fieldConfig' | 'targets' | 'transformations' | 'links'>
> & {
  id: number;
  type: Type;
  options?: Sparse<Json<Options>>;
  fieldConfig?: { defaults: Defaults<Custom>; overrides: Override<Custom>[] };
  targets?: (PrometheusTarget | SqlTarget)[];
  transformations?: Transformation[];
  links?: Link[];
};

type Standard = Json<Omit<FieldConfig, 'custom' | 'links'>> & {
  links?: { title: string; url: string; targetBlank?: boolean; oneClick?: boolean }[]; // ours: the schema has unknown
  fieldMinMax?: boolean; // ours: only in @grafana/data
};

type Defaults<Custom> = Standard & { custom?: Sparse<Json<Custom>> };

interface Override<Custom> {
  matcher: { id: `${FieldMatcherID}`; options?: unknown };
  properties: Property<Custom>[];
}

type Property<Custom> =
  | { [Key in keyof Standard]-?: { id: Key; value: NonNullable<Standard[Key]> } }[keyof Standard]
  | CustomProperty<Custom>[keyof Custom & string]
  | { id: 'custom.footer.reducers'; value: string[] };

type CustomProperty<Custom> = {
  [Key in keyof Custom & string]-?: { id: `custom.${Key}`; value: Sparse<Json<NonNullable<Custom[Key]>>> };
};

interface Transformation {
  id: `${DataTransformerID}`;
  options: object;
  disabled?: boolean;
  filter?: { id: string; options: unknown };
}

type Link = Partial<Json<NonNullable<GrafanaDashboard['links']>[number]>> & { title: string };

type Variable = Json<Omit<VariableModel, 'current' | 'options'>> & {
  current?: Partial<VariableOption>;
  options?: VariableOption[];
  definition?: string; // ours: Grafana writes it next to `query`
};

type Annotation = Json<Omit<NonNullable<NonNullable<GrafanaDashboard['annotations']>['list']>[number], 'target'>> & {
  target?: object;
  // ours: what the Prometheus data source keeps here
  expr?: string;
  step?: string;
  titleFormat?: string;
  textFormat?: string;
  tagKeys?: string;
  useValueForTime?: boolean;
};

/** ours: older Grafana has the footer here; newer ones make `custom.footer` of it. */
interface LegacyTable {
  footer?: { show: boolean; reducer: string[]; countRows?: boolean; fields?: string[] | ''; enablePagination?: boolean };
}

/** ours: the queries' types are not in @grafana/schema. */
interface PrometheusTarget {
  refId: string;
  datasource?: DataSourceRef;
  expr: string;
  legendFormat?: string;
  format?: 'time_series' | 'table' | 'heatmap';
  instant?: boolean;
  range?: boolean;
  exemplar?: boolean;
  hide?: boolean;
  interval?: string;
  editorMode?: 'code' | 'builder';
}

/** ours, too */
interface SqlTarget {
  refId: string;
  datasource?: DataSourceRef;
  rawSql: string;
  format: 'table' | 'time_series';
  rawQuery?: boolean;
  hide?: boolean;
  editorMode?: 'code' | 'builder';
}

