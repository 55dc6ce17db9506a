/** Every kind of panel, with plausible, invented numbers: node sample/make.mjs [ANSWERS.json] */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const DAY = 86_400_000;
const NOW = Date.UTC(2025, 10, 24, 16);
const FROM = NOW - 90 * DAY;
const TIMES = Array.from({ length: 91 }, (_, day) => FROM + day * DAY);
const PROMETHEUS = { type: 'prometheus', uid: '${datasource}' };
const POSTGRES = { type: 'grafana-postgresql-datasource', uid: 'vmcrawl-postgres' };
// Okabe and Ito's colours, which colour-blind people can tell apart.
const COLOURS = { main: '#CC79A7', 4.5: '#0072B2', 4.4: '#56B4E9', 4.3: '#009E73', 4.2: '#E69F00', older: '#999999' };
const FINAL = { main: 310, 4.5: 4100, 4.4: 2900, 4.3: 1450, 4.2: 620, older: 980 };

let nextId = 1;
let nextY = 0;
const panels = [];
const answers = {};

row('Now');
stats();
row('Adoption');
histories();
bars();
row('Instances');
tables();
const inner = [text({ h: 5, w: 24, x: 0, y: nextY + 1 }), emptyGraph({ h: 5, w: 12, x: 0, y: nextY + 6 }), emptyStat({ h: 5, w: 12, x: 12, y: nextY + 6 })];
panels.push({ id: nextId++, type: 'row', title: 'Detail', collapsed: true, gridPos: { h: 1, w: 24, x: 0, y: nextY }, panels: inner });

writeFileSync(
  process.argv[2] ?? join(import.meta.dirname, 'answers.json'),
  JSON.stringify(
    {
      dashboard: dashboard(),
      now: NOW,
      from: FROM,
      to: NOW,
      variables: {
        datasource: { text: 'Prometheus', value: 'prometheus' },
        branch: { text: 'All', value: Object.keys(FINAL) },
        search: { text: '', value: '' },
      },
      panels: answers,
      annotations: [
        { time: NOW - 71 * DAY, title: '4.5.0', text: 'Mastodon 4.5.0', color: '#8AB8FF' },
        { time: NOW - 33 * DAY, title: '4.5.1', text: 'Mastodon 4.5.1', color: '#8AB8FF' },
        { time: NOW - 9 * DAY, title: '4.5.2', text: 'Mastodon 4.5.2, security', color: '#FF7383' },
      ],
    },
    (_, value) => (typeof value === 'number' ? Math.round(value * 1e4) / 1e4 : value)
  ) + '\n'
);

function dashboard() {
  return {
    uid: 'vmcrawl-sample',
    title: 'Sample of everything',
    editable: false,
    schemaVersion: 39,
    timezone: 'utc',
    time: { from: 'now-90d', to: 'now' },
    refresh: '5m',
    tags: ['mastodon'],
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' },
        { name: 'branch', label: 'Branch', type: 'query', multi: true, includeAll: true },
        { name: 'search', label: 'Domain', type: 'textbox' },
      ],
    },
    annotations: { list: [{ name: 'Releases', enable: true, iconColor: 'blue', datasource: PROMETHEUS }] },
    links: [
      { title: 'Instances', type: 'link', icon: 'dashboard', url: '/d/vmcrawl-instances', asDropdown: false, includeVars: false, keepTime: true, tags: [], targetBlank: false, tooltip: '' },
    ],
    panels,
  };
}

function stats() {
  const patched = { mode: 'absolute', steps: steps([null, '#D55E00'], [0.5, '#E69F00'], [0.8, '#009E73']) };
  const each = [
    ['Instances', 10_360, { unit: 'locale', color: { mode: 'fixed', fixedColor: '#56B4E9' } }, wave(10_360)],
    ['Monthly active users', 812_400, { unit: 'short', color: { mode: 'fixed', fixedColor: '#56B4E9' } }, wave(812_400)],
    ['Patched', 0.712, { unit: 'percentunit', decimals: 1, min: 0, max: 1, thresholds: patched }],
    ['On a supported branch', 0.861, { unit: 'percentunit', decimals: 1, min: 0, max: 1, thresholds: patched }],
    ['Last run', 2, { mappings: [{ type: 'value', options: { 2: { text: 'complete', color: '#009E73', index: 0 } } }] }],
    ['Data as of', NOW - 3 * 3_600_000, { unit: 'dateTimeFromNow', color: { mode: 'fixed', fixedColor: 'text' } }],
  ];
  each.forEach(([title, value, defaults, history], index) => {
    const frames = history ? [series(title, null, history)] : [instant(value)];
    panel('stat', title, { h: 4, w: 4, x: index * 4, y: nextY }, frames, {
      description: `What "${title}" means, **in words**.`,
      defaults: { noValue: 'No data', ...defaults },
      options: {
        colorMode: index === 4 ? 'background' : 'value',
        graphMode: history ? 'area' : 'none',
        justifyMode: 'auto',
        textMode: 'auto',
        reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
      },
    });
  });
  nextY += 4;
}

function histories() {
  const frames = Object.entries(FINAL).map(([branch, final], index) =>
    series(branch, { branch }, TIMES.map((_, day) => (day < 19 && branch === '4.5' ? null : Math.round(final * adoption(branch, day) + noise(day, index) * final * 0.01))))
  );
  const overrides = Object.entries(COLOURS).map(([name, fixedColor]) => ({
    matcher: { id: 'byName', options: name },
    properties: [{ id: 'color', value: { mode: 'fixed', fixedColor } }],
  }));
  const area = { drawStyle: 'line', lineWidth: 1, fillOpacity: 60, showPoints: 'never', spanNulls: false };
  const legend = { showLegend: true, displayMode: 'table', placement: 'right', calcs: ['lastNotNull'], sortBy: 'Last *', sortDesc: true };
  graph('Instances by branch', { h: 10, w: 12, x: 0, y: nextY }, frames, { unit: 'short', min: 0, custom: { ...area, stacking: { mode: 'normal', group: 'A' } } }, overrides, legend);
  graph('Adoption by branch', { h: 10, w: 12, x: 12, y: nextY }, frames, { unit: 'short', custom: { ...area, stacking: { mode: 'percent', group: 'A' } } }, overrides, { ...legend, displayMode: 'list', placement: 'bottom', calcs: [] });
  nextY += 10;
  const share = [series('patched', { state: 'patched' }, TIMES.map((_, day) => 0.45 + 0.3 * adoption('4.5', day) + noise(day, 3) * 0.01))];
  graph('Patched', { h: 8, w: 12, x: 0, y: nextY }, share, {
    unit: 'percentunit', min: 0, max: 1, color: { mode: 'fixed', fixedColor: '#0072B2' },
    thresholds: { mode: 'absolute', steps: steps([null, 'transparent'], [0.8, '#009E73']) },
    custom: { lineWidth: 2, fillOpacity: 15, gradientMode: 'opacity', showPoints: 'never', thresholdsStyle: { mode: 'dashed' } },
  }, [], { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: ['min', 'lastNotNull'] });
}

function bars() {
  const frame = table(
    [strings('branch', Object.keys(FINAL)), numbers('Value #A', Object.values(FINAL))],
    'A'
  );
  panel('bargauge', 'By branch', { h: 8, w: 6, x: 12, y: nextY }, [frame], {
    description: 'Instances now.',
    defaults: { unit: 'locale', min: 0, color: { mode: 'continuous-BlPu' } },
    options: { orientation: 'horizontal', displayMode: 'gradient', showUnfilled: true, valueMode: 'color', namePlacement: 'left', reduceOptions: { calcs: [], fields: '/^Value/', values: true } },
    transformations: [{ id: 'sortBy', options: { fields: {}, sort: [{ field: 'Value #A', desc: true }] } }, { id: 'limit', options: { limitField: 5 } }],
  });
  const frames = Object.entries(FINAL).map(([branch, value]) => instant(value / 10_360, { branch }, branch));
  panel('bargauge', 'Share', { h: 8, w: 6, x: 18, y: nextY }, frames, {
    description: 'Share of instances now.',
    defaults: { unit: 'percentunit', decimals: 1, min: 0, max: 1, thresholds: { mode: 'absolute', steps: steps([null, '#D55E00'], [0.1, '#E69F00'], [0.25, '#009E73']) } },
    options: { orientation: 'horizontal', displayMode: 'basic', showUnfilled: true, valueMode: 'text', reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false } },
  });
  nextY += 8;
}

function tables() {
  const names = ['social', 'fedi', 'toot', 'masto', 'birds', 'moss', 'tea', 'river'];
  const domains = Array.from({ length: 24 }, (_, index) => `${names[index % 8]}${index > 7 ? index : ''}.example`);
  const releases = domains.map((_, index) => ['4.5.2', '4.5.1', '4.4.9', '4.3.15', '4.2.27', '4.1.20'][(index * 7) % 6]);
  const patched = releases.map((release) => (release === '4.5.1' || release === '4.1.20' ? 'no' : 'yes'));
  const frame = table(
    [
      strings('domain', domains),
      strings('release', releases),
      strings('patched', patched),
      numbers('active_users', domains.map((_, index) => Math.round(90_000 / (index + 1) ** 1.4))),
      numbers('share', domains.map((_, index) => 1 / (index + 1))),
      { name: 'last_seen', type: 'time', labels: null, config: null, values: domains.map((_, index) => NOW - index * 3_000_000) },
      numbers('internal_id', domains.map((_, index) => index)),
    ],
    'A'
  );
  const value = (text, color, index) => ({ text, color, index });
  panel('table', 'Instances', { h: 12, w: 16, x: 0, y: nextY }, [frame], {
    description: 'Every instance that does not mind being listed.',
    datasource: POSTGRES,
    defaults: { custom: { align: 'auto', filterable: true, cellOptions: { type: 'auto' } } },
    overrides: [
      override('Domain', ['links', [{ title: 'Open ${__value.raw}', url: 'https://${__value.raw}', targetBlank: true }]]),
      override('Patched', ['custom.cellOptions', { type: 'color-background', mode: 'basic' }], ['mappings', [{ type: 'value', options: { yes: value('patched', '#009E73', 0), no: value('exposed', '#D55E00', 1) } }]], ['custom.width', 110]),
      override('Active users', ['unit', 'locale'], ['custom.footer.reducers', ['sum']]),
      override('Share', ['unit', 'percentunit'], ['min', 0], ['max', 1], ['color', { mode: 'fixed', fixedColor: '#0072B2' }], ['custom.cellOptions', { type: 'gauge', mode: 'basic', valueDisplayMode: 'text' }]),
      override('Last seen', ['unit', 'dateTimeFromNow']),
    ],
    options: { showHeader: true, cellHeight: 'sm', sortBy: [{ displayName: 'Active users', desc: true }] },
    transformations: [
      {
        id: 'organize',
        options: {
          excludeByName: { internal_id: true },
          indexByName: {},
          renameByName: { domain: 'Domain', release: 'Release', patched: 'Patched', active_users: 'Active users', share: 'Share', last_seen: 'Last seen' },
        },
      },
    ],
  });
  const one = (refId, values) => table([strings('software', ['Mastodon', 'glitch-soc', 'Hometown', 'Ecko']), numbers(`Value #${refId}`, values)], refId);
  panel('table', 'Software', { h: 12, w: 8, x: 16, y: nextY }, [one('A', [8900, 1200, 160, 4]), one('B', [700_000, 98_000, 12_000, 31])], {
    description: 'Forks.',
    defaults: { unit: 'locale', thresholds: { mode: 'absolute', steps: steps([null, '#56B4E9'], [1000, '#009E73']) } },
    overrides: [override('Instances', ['custom.cellOptions', { type: 'color-text' }])],
    options: { showHeader: true, cellHeight: 'sm', footer: { show: true, reducer: ['sum'], countRows: false, fields: '' }, sortBy: [] },
    transformations: [
      { id: 'merge', options: {} },
      { id: 'organize', options: { excludeByName: {}, indexByName: {}, renameByName: { 'Value #A': 'Instances', 'Value #B': 'Users', software: 'Software' } } },
    ],
  });
  nextY += 12;
}

function text(gridPos) {
  return made('text', 'About', gridPos, { options: { mode: 'markdown', content: '### What this is\n\nPanels of **$branch** from `vmcrawl`, with a [link](https://example.org).\n\n- one\n- two\n' } });
}

function emptyGraph(gridPos) {
  const panel = made('timeseries', 'Nothing here', gridPos, { description: 'Empty on purpose.', defaults: { noValue: 'No crawl yet' } });
  answers[panel.id] = [];
  return panel;
}

function emptyStat(gridPos) {
  const panel = made('stat', 'Nothing here either', gridPos, { description: 'Empty on purpose.', defaults: { noValue: 'No crawl yet' } });
  answers[panel.id] = [];
  return panel;
}

function graph(title, gridPos, frames, defaults, overrides, legend) {
  panel('timeseries', title, gridPos, frames, { description: `${title} over time.`, defaults, overrides, options: { legend, tooltip: { mode: 'multi', sort: 'desc' } } });
}

function panel(type, title, gridPos, frames, more) {
  const made_ = made(type, title, gridPos, more);
  panels.push(made_);
  answers[made_.id] = frames;
}

function made(type, title, gridPos, { defaults = {}, overrides = [], datasource = PROMETHEUS, ...more }) {
  return { id: nextId++, type, title, gridPos, datasource, fieldConfig: { defaults, overrides }, targets: [], ...more };
}

function row(title) {
  panels.push({ id: nextId++, type: 'row', title, collapsed: false, gridPos: { h: 1, w: 24, x: 0, y: nextY++ }, panels: [] });
}

function series(name, labels, values) {
  return {
    refId: 'A',
    name,
    fields: [
      { name: 'Time', type: 'time', labels: null, config: { interval: DAY }, values: TIMES },
      { name: 'Value', type: 'number', labels, config: { displayNameFromDS: name }, values },
    ],
  };
}

function instant(value, labels = null, name = '') {
  const config = name ? { displayNameFromDS: name } : null;
  const time = { name: 'Time', type: 'time', labels: null, config: null, values: [NOW] };
  return { refId: 'A', name, fields: [time, { name: 'Value', type: 'number', labels, config, values: [value] }] };
}

function table(fields, refId) {
  return { refId, name: '', fields };
}

function strings(name, values) {
  return { name, type: 'string', labels: null, config: null, values };
}

function numbers(name, values) {
  return { name, type: 'number', labels: null, config: null, values };
}

function override(name, ...properties) {
  return { matcher: { id: 'byName', options: name }, properties: properties.map(([id, value]) => ({ id, value })) };
}

function steps(...pairs) {
  return pairs.map(([value, color]) => ({ value, color }));
}

function adoption(branch, day) {
  const grown = 1 / (1 + Math.exp(-(day - 45) / 12));
  return branch === '4.5' ? grown : branch === 'main' ? 1 : 2.2 - 1.2 * grown;
}

function noise(day, seed) {
  return Math.sin(day * 12.9898 + seed * 78.233) * Math.cos(day * 4.1 + seed);
}

function wave(value) {
  return TIMES.map((_, day) => Math.round(value * (0.96 + 0.0004 * day + 0.004 * noise(day, 7))));
}
