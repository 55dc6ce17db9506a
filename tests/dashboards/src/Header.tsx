/** What stands above the panels: the way here, variables, links, annotations, the time. Pickers are Grafana's. */
import { type VariableModel } from '@grafana/schema';
import {
  Icon,
  InlineSwitch,
  Input,
  LinkButton,
  MultiSelect,
  RefreshPicker,
  Select,
  TimeRangePicker,
  useStyles2,
} from '@grafana/ui';
import { css } from '@emotion/css';
import { type GrafanaTheme2, type IconName } from '@grafana/data';
import { type ReactNode } from 'react';

import { type Answers } from './answers';
import { timeRange } from './time';

const nothing = () => {};

export function Header({ answers, timeZone }: { answers: Answers; timeZone: string }) {
  const styles = useStyles2(stylesOf);
  const { dashboard, variables } = answers;
  return (
    <header>
      <div className={styles.path}>
        <span>Home</span>
        <Icon name="angle-right" />
        <span>Dashboards</span>
        <Icon name="angle-right" />
        <strong>{dashboard.title}</strong>
      </div>
      <div className={styles.controls}>
        <div className={styles.group}>
          {(dashboard.templating?.list ?? [])
            .filter(({ hide }) => hide !== 2)
            .map((variable) => (
              <Labelled key={variable.name} label={variable.hide === 1 ? '' : variable.label || variable.name}>
                <Picker variable={variable} chosen={variables[variable.name]} />
              </Labelled>
            ))}
          {(dashboard.annotations?.list ?? [])
            .filter(({ hide, builtIn }) => !hide && !builtIn)
            .map(({ name, enable }) => (
              <Labelled key={name} label={name}>
                <InlineSwitch value={enable} onChange={nothing} />
              </Labelled>
            ))}
        </div>
        <div className={styles.group}>
          {(dashboard.links ?? []).map(({ title, icon, type, targetBlank }) => (
            <LinkButton
              key={title}
              variant="secondary"
              icon={type === 'dashboards' ? 'bars' : LINK_ICONS[icon]}
              target={targetBlank ? '_blank' : undefined}
            >
              {title}
            </LinkButton>
          ))}
          {!dashboard.timepicker?.hidden && (
            <>
              <TimeRangePicker
                value={timeRange(answers, dashboard.time as { from: string; to: string } | undefined)}
                timeZone={timeZone}
                onChange={nothing}
                onChangeTimeZone={nothing}
                onMoveBackward={nothing}
                onMoveForward={nothing}
                onZoom={nothing}
                isOnCanvas
              />
              <RefreshPicker value={dashboard.refresh || ''} onIntervalChanged={nothing} isOnCanvas text="Refresh" />
            </>
          )}
        </div>
      </div>
    </header>
  );
}

const LINK_ICONS: Record<string, IconName> = {
  'external link': 'external-link-alt',
  dashboard: 'apps',
  question: 'question-circle',
  info: 'info-circle',
  bolt: 'bolt',
  doc: 'file-alt',
  cloud: 'cloud',
};

function Labelled({ label, children }: { label: string; children: ReactNode }) {
  const styles = useStyles2(stylesOf);
  return (
    <div className={styles.labelled}>
      {label && <span className={styles.label}>{label}</span>}
      {children}
    </div>
  );
}

function Picker({ variable, chosen }: { variable: VariableModel; chosen?: Answers['variables'][string] }) {
  const texts = [chosen?.text ?? ''].flat().map(String);
  const options = texts.map((text) => ({ label: text, value: text }));
  if (variable.type === 'textbox') {
    return <Input value={texts[0]} onChange={nothing} width={20} placeholder="Enter value" />;
  }
  return variable.multi ? (
    <MultiSelect options={options} value={texts} onChange={nothing} width="auto" />
  ) : (
    <Select options={options} value={options[0]} onChange={nothing} width="auto" />
  );
}

const stylesOf = (theme: GrafanaTheme2) => ({
  path: css({
    display: 'flex',
    alignItems: 'center',
    gap: theme.spacing(0.5),
    height: 40,
    padding: theme.spacing(0, 2),
    background: theme.colors.background.primary,
    borderBottom: `1px solid ${theme.colors.border.weak}`,
    color: theme.colors.text.secondary,
    whiteSpace: 'nowrap',
    overflow: 'hidden',
    strong: { color: theme.colors.text.primary, fontWeight: theme.typography.fontWeightMedium },
  }),
  controls: css({
    display: 'flex',
    flexWrap: 'wrap',
    justifyContent: 'space-between',
    gap: theme.spacing(1),
    padding: theme.spacing(2, 2, 1),
  }),
  group: css({ display: 'flex', flexWrap: 'wrap', alignItems: 'flex-start', gap: theme.spacing(1) }),
  labelled: css({
    display: 'flex',
    '> :last-child, input': { borderTopLeftRadius: '0 !important', borderBottomLeftRadius: '0 !important' },
  }),
  label: css({
    display: 'flex',
    alignItems: 'center',
    padding: theme.spacing(0, 1),
    height: theme.spacing(theme.components.height.md),
    background: theme.colors.background.secondary,
    border: `1px solid ${theme.components.input.borderColor}`,
    borderRight: 'none',
    borderRadius: `${theme.shape.radius.default} 0 0 ${theme.shape.radius.default}`,
    fontSize: theme.typography.bodySmall.fontSize,
    fontWeight: theme.typography.fontWeightMedium,
  }),
});
