/** From answers to what panels draw: Grafana's own transformations, field options and overrides. */
import {
  applyFieldOverrides,
  booleanOverrideProcessor,
  cacheFieldDisplayNames,
  type DataFrame,
  type DataFrameDTO,
  dataLinksOverrideProcessor,
  type DataTransformerConfig,
  type DataTransformerInfo,
  displayNameOverrideProcessor,
  type Field,
  type FieldConfigPropertyItem,
  type FieldConfigSource,
  FieldType,
  type GrafanaTheme2,
  identityOverrideProcessor,
  type InterpolateFunction,
  locationUtil,
  numberOverrideProcessor,
  standardFieldConfigEditorRegistry,
  standardTransformers,
  standardTransformersRegistry,
  stringOverrideProcessor,
  thresholdsOverrideProcessor,
  toDataFrame,
  transformDataFrame,
  unitOverrideProcessor,
  valueMappingsOverrideProcessor,
} from '@grafana/data';
import { type FieldConfigSource as FieldConfigModel, type Panel } from '@grafana/schema';
import { lastValueFrom } from 'rxjs';

import { fieldDefaults } from './defaults';

export interface Surroundings {
  theme: GrafanaTheme2;
  timeZone: string;
  interpolate: InterpolateFunction;
}

/** Grafana fills these registries at start, in code that is not on npm. `customIds` are the options of panel types. */
export function registerGrafana(customIds: Iterable<string>, timeRange: () => { from: string; to: string }): void {
  const custom = [...customIds].map((id) => property(id, identityOverrideProcessor, { isCustom: true }));
  standardFieldConfigEditorRegistry.setInit(() => [...STANDARD, ...custom]);
  // Some are there twice, under an old name, too.
  const transformers = new Map(Object.values(standardTransformers).map((each) => [each.id, each as DataTransformerInfo]));
  standardTransformersRegistry.setInit(() =>
    [...transformers.values()].map((transformer) => ({
      id: transformer.id,
      name: transformer.name,
      transformation: async () => transformer,
      editor: () => null,
      imageDark: '',
      imageLight: '',
    }))
  );
  locationUtil.initialize({
    config: { appSubUrl: '' } as Parameters<typeof locationUtil.initialize>[0]['config'],
    getVariablesUrlParams: () => ({}),
    getTimeRangeForUrl: timeRange,
  });
}

/** The ids of panel types' own field options that a dashboard uses, as in `custom.lineWidth`. */
export function customIds(panels: Panel[]): Set<string> {
  const ids = new Set<string>();
  for (const panel of panels) {
    const config = fieldConfigOf(panel);
    Object.keys(config.defaults.custom ?? {}).forEach((key) => ids.add(`custom.${key}`));
    for (const { properties } of config.overrides) {
      properties.filter(({ id }) => id.startsWith('custom.')).forEach(({ id }) => ids.add(id));
    }
  }
  return ids;
}

export function fieldConfigOf(panel: Panel): FieldConfigSource {
  const model = (panel.fieldConfig ?? {}) as Partial<FieldConfigModel>;
  return fieldDefaults(panel, { defaults: model.defaults ?? {}, overrides: model.overrides ?? [] } as FieldConfigSource);
}

export async function framesFor(panel: Panel, answers: DataFrameDTO[], around: Surroundings): Promise<DataFrame[]> {
  const unknown = (panel.transformations ?? []).find(({ id }) => !standardTransformersRegistry.getIfExists(id));
  if (unknown) {
    throw new Error(`Grafana's @grafana/data has no transformation "${unknown.id}"`);
  }
  const frames = answers.map((answer) =>
    toDataFrame({
      ...answer,
      name: answer.name || undefined,
      fields: answer.fields.map((field) => ({ ...field, labels: field.labels ?? undefined, config: field.config ?? {} })),
    })
  );
  const enabled = (panel.transformations ?? []).filter(({ disabled }) => !disabled);
  const transformed = await lastValueFrom(
    transformDataFrame(enabled as DataTransformerConfig[], frames, { interpolate: (text) => around.interpolate(text) })
  );
  const drawn = applyFieldOverrides({
    data: transformed,
    fieldConfig: fieldConfigOf(panel),
    replaceVariables: around.interpolate,
    theme: around.theme,
    timeZone: around.timeZone,
  });
  cacheFieldDisplayNames(drawn); // Tables head their columns with what is kept here.
  return drawn;
}

const STANDARD = [
  property('displayName', displayNameOverrideProcessor),
  property('description', stringOverrideProcessor),
  property('unit', unitOverrideProcessor),
  property('min', numberOverrideProcessor, { shouldApply: isNumber }),
  property('max', numberOverrideProcessor, { shouldApply: isNumber }),
  property('fieldMinMax', booleanOverrideProcessor, { shouldApply: isNumber }),
  property('decimals', numberOverrideProcessor, { shouldApply: isNumber }),
  property('noValue', stringOverrideProcessor),
  property('color', identityOverrideProcessor),
  property('thresholds', thresholdsOverrideProcessor),
  property('mappings', valueMappingsOverrideProcessor),
  property('links', dataLinksOverrideProcessor),
  property('filterable', booleanOverrideProcessor),
];

function property(
  id: string,
  process: FieldConfigPropertyItem['process'],
  more: Partial<FieldConfigPropertyItem> = {}
): FieldConfigPropertyItem {
  return {
    id,
    path: more.isCustom ? id.replace(/^custom\./, '') : id,
    name: id,
    process,
    shouldApply: () => true,
    editor: () => null,
    override: () => null,
    ...more,
  };
}

function isNumber(field: Field): boolean {
  return field.type === FieldType.number;
}
