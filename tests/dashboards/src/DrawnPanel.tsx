/** One panel: Grafana's frame around what its type draws. What goes wrong in it is shown, and told. */
import { type DataFrame, renderMarkdown } from '@grafana/data';
import { type Panel } from '@grafana/schema';
import { Icon, PanelChrome } from '@grafana/ui';
import { Component, type ComponentType, type ReactNode } from 'react';

import { BarGauge } from './panels/BarGauge';
import { type Drawn } from './panels/drawn';
import { Stat } from './panels/Stat';
import { Table } from './panels/Table';
import { Text } from './panels/Text';
import { TimeSeries } from './panels/TimeSeries';

export const TYPES: Record<string, ComponentType<Drawn>> = {
  bargauge: BarGauge,
  stat: Stat,
  table: Table,
  text: Text,
  timeseries: TimeSeries,
};

/** Panels whose contents touch the frame, as Grafana's plugin for them says. */
const UNPADDED = new Set(['stat']);

type Props = Omit<Drawn, 'title' | 'frames'> & {
  frames: DataFrame[] | Error;
  onError: (error: Error) => void;
};

export function DrawnPanel({ panel, width, height, around, frames, onError, ...rest }: Props) {
  const title = around.interpolate(panel.title ?? '');
  const description = panel.description && around.interpolate(panel.description);
  const Contents = TYPES[panel.type];
  return (
    <PanelChrome
      width={width}
      height={height}
      title={title}
      description={description ? () => renderMarkdown(description) : undefined}
      displayMode={panel.transparent ? 'transparent' : 'default'}
      padding={UNPADDED.has(panel.type) ? 'none' : 'md'}
      titleItems={links(panel)}
      hoverHeader={!title}
    >
      {(innerWidth, innerHeight) => (
        <Boundary onError={onError}>
          {frames instanceof Error ? (
            <Thrown error={frames} />
          ) : (
            <Contents {...{ panel, around, frames, title, ...rest }} width={innerWidth} height={innerHeight} />
          )}
        </Boundary>
      )}
    </PanelChrome>
  );
}

function links(panel: Panel): ReactNode {
  if (!panel.links?.length) {
    return undefined;
  }
  const [link] = panel.links;
  return (
    <PanelChrome.TitleItem href={link.url ?? '#'} title={link.title}>
      <Icon name={panel.links.length > 1 || !link.targetBlank ? 'link' : 'external-link-alt'} size="md" />
    </PanelChrome.TitleItem>
  );
}

function Thrown({ error }: { error: Error }): ReactNode {
  throw error;
}

class Boundary extends Component<{ children: ReactNode; onError: (error: Error) => void }, { error?: Error }> {
  state: { error?: Error } = {};

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  componentDidCatch(error: Error) {
    this.props.onError(error);
  }

  render() {
    return this.state.error ? <pre style={{ color: 'red' }}>{this.state.error.message}</pre> : this.props.children;
  }
}
