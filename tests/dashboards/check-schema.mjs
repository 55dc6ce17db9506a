/**
 * Holds dashboards against Grafana's published types: node check-schema.mjs DASHBOARD.json...
 * Each becomes TypeScript, panel by panel, and the compiler judges. Ends with 1 and its complaints if it has any.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const HERE = import.meta.dirname;
const TYPES = { row: 'Row', stat: 'Stat', bargauge: 'BarGauge', timeseries: 'TimeSeries', table: 'Table', text: 'Text' };

const paths = process.argv.slice(2);
if (!paths.length) {
  console.error('check-schema.sh DASHBOARD.json...');
  process.exit(2);
}
// Within this folder, so that the compiler finds node_modules.
mkdirSync(join(HERE, '.work'), { recursive: true });
const folder = mkdtempSync(join(HERE, '.work', 'schema-'));
let complaints;
let literals = 0;
try {
  complaints = paths.flatMap((path, index) => untyped(path, index)).concat(compiled());
} finally {
  rmSync(folder, { recursive: true });
}
complaints.forEach((complaint) => console.error(complaint));
console.log(complaints.length ? `${complaints.length} complaints` : `${paths.length} dashboards agree with Grafana's types`);
process.exitCode = complaints.length ? 1 : 0;

/** Writes the TypeScript of a dashboard, and returns complaints about panels that no type is known for. */
function untyped(path, index) {
  const { panels = [], ...dashboard } = JSON.parse(readFileSync(path, 'utf8'));
  const flat = panels.flatMap((panel) => {
    const { panels: inner = [], ...row } = panel;
    return panel.type === 'row' ? [row, ...inner] : [panel];
  });
  const known = flat.filter(({ type }) => TYPES[type]);
  const written = [literal(path, 'the dashboard', 'Dashboard', dashboard)].concat(
    known.map((panel) => literal(path, `panel ${panel.id} "${panel.title}"`, TYPES[panel.type], panel))
  );
  const types = `import type * as classic from '../../schema/classic';\n`;
  writeFileSync(join(folder, `dashboard${index}.ts`), types + written.join(''));
  return flat
    .filter((panel) => !known.includes(panel))
    .map(({ id, type, title }) => `${basename(path)}, panel ${id} "${title}": no type of panel is called "${type}" here`);
}

/** The comment before each literal says whose it is. */
function literal(path, what, type, value) {
  const place = `${basename(path)}, ${what.replaceAll('\n', ' ')}`;
  literals += 1;
  return `// ${place}\nexport const literal${literals}: classic.${type} = ${JSON.stringify(value, null, 1)};\n`;
}

/** What the compiler says, each with the place in the dashboard. */
function compiled() {
  const options = { extends: '../../tsconfig.json', include: ['*.ts'] };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(options));
  try {
    execFileSync(join(HERE, 'node_modules/.bin/tsc'), ['--pretty', 'false'], { cwd: folder, encoding: 'utf8' });
    return [];
  } catch ({ stdout, message }) {
    return stdout ? stdout.split(/\n(?=\S)/).map((said) => placed(said.trimEnd())) : [message];
  }
}

function placed(said) {
  const [, file, line, what] = /^(dashboard\d+\.ts)\((\d+),\d+\): (.*)$/s.exec(said) ?? [];
  if (!file) {
    return said;
  }
  const lines = readFileSync(join(folder, file), 'utf8').split('\n').slice(0, Number(line));
  const owner = lines.findLast((each) => each.startsWith('// ')) ?? '// ';
  return `${owner.slice(3)}: ${lines.at(-1).trim()}\n  ${what}`;
}
