/** `$name`, `${name}`, `[[name]]` and `${__field.labels.branch}` in titles, texts, names and links. */
import { type DataFrame, type Field, getFieldDisplayName, type InterpolateFunction, type ScopedVars } from '@grafana/data';

import { type Answers } from './answers';

const REFERENCE = /\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.([^:}]+))?(?::([^}]+))?\}/g;

export function interpolator(answers: Answers): InterpolateFunction {
  const globals: Record<string, string> = {
    __dashboard: answers.dashboard.title ?? '',
    __from: String(answers.from),
    __to: String(answers.to),
    __url_time_range: `from=${answers.from}&to=${answers.to}`,
    __all_variables: Object.entries(answers.variables)
      .flatMap(([name, { value }]) => listed(value).map((each) => `var-${name}=${encodeURIComponent(each)}`))
      .join('&'),
  };
  return (target, scoped) =>
    (target ?? '').replace(REFERENCE, (whole, plain, bracketed, bracketFormat, braced, path, braceFormat) => {
      const name: string = plain ?? bracketed ?? braced;
      const chosen = answers.variables[name];
      if (chosen) {
        return formatted(name, chosen.text, listed(chosen.value), bracketFormat ?? braceFormat ?? 'text');
      }
      return ofData(name, path, scoped) ?? globals[name] ?? scopedText(scoped, name) ?? whole;
    });
}

function formatted(name: string, text: string | string[], values: string[], format: string): string {
  switch (format) {
    case 'text':
      return listed(text).join(' + ');
    case 'queryparam':
      return values.map((value) => `var-${name}=${encodeURIComponent(value)}`).join('&');
    case 'percentencode':
      return encodeURIComponent(values.join(','));
    case 'pipe':
      return values.join('|');
    default:
      return values.join(',');
  }
}

/** What belongs to the value at hand: Grafana hands it over as `__dataContext`. */
function ofData(name: string, path: string | undefined, scoped?: ScopedVars): string | undefined {
  const context = scoped?.__dataContext?.value as
    | { data: DataFrame[]; frame: DataFrame; field: Field; rowIndex?: number }
    | undefined;
  if (!context) {
    return undefined;
  }
  const { data, frame, field, rowIndex } = context;
  const shown = (each?: Field) => {
    const value = rowIndex === undefined ? undefined : each?.values[rowIndex];
    return value === undefined || value === null ? '' : String(value);
  };
  if (name === '__value') {
    return shown(field);
  }
  if (name === '__series' || (name === '__field' && path === 'displayName')) {
    return getFieldDisplayName(field, frame, data);
  }
  if (name === '__field') {
    return path === 'name' ? field.name : (field.labels?.[keyOf(path, 'labels')] ?? '');
  }
  if (name === '__data') {
    const key = keyOf(path, 'fields');
    return shown(
      frame.fields.find((each) => each.name === key || getFieldDisplayName(each, frame, data) === key) ??
        frame.fields[Number(key)]
    );
  }
  return undefined;
}

/** `labels.branch` and `labels["branch"]` -> `branch` */
function keyOf(path: string | undefined, under: string): string {
  return (path ?? '').replace(new RegExp(`^${under}`), '').replace(/^\.|^\[["']?|["']?\]$/g, '');
}

function scopedText(scoped: ScopedVars | undefined, name: string): string | undefined {
  const value = scoped?.[name]?.text ?? scoped?.[name]?.value;
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

function listed(value: string | string[]): string[] {
  return Array.isArray(value) ? value : [value];
}
