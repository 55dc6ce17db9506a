import { getFrameDisplayName } from '@grafana/data';
import { type TableCellHeight, type TableSortByFieldState } from '@grafana/schema';
import { Select } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

import { fieldConfigOf } from '../data';
import { optionsOf } from '../defaults';
import { timeRange } from '../time';
import { type Drawn } from './drawn';
import { NoData } from './NoData';

interface Options {
  cellHeight: TableCellHeight;
  enablePagination?: boolean;
  footer?: { enablePagination?: boolean };
  frameIndex: number;
  frozenColumns?: { left?: number };
  maxRowHeight?: number;
  pageSize?: number;
  showHeader: boolean;
  showTypeIcons: boolean;
  sortBy: TableSortByFieldState[];
}

export function Table({ panel, frames, width, height, around, range }: Drawn) {
  const options = optionsOf<Options>(panel);
  if (!frames.some(({ fields, length }) => fields.length && length)) {
    return <NoData panel={panel} frames={frames} />;
  }
  const chosen = options.frameIndex < frames.length ? options.frameIndex : 0;
  const names = frames.map((frame, value) => ({ label: getFrameDisplayName(frame), value }));
  const picker = frames.length > 1 ? around.theme.spacing.gridSize * (around.theme.components.height.md + 1) : 0;
  return (
    <>
      {/* Grafana's table fills what it is in. */}
      <div style={{ height: height - picker }}>
        <TableNG
          data={frames[chosen]}
          width={width}
          height={height - picker}
          noHeader={!options.showHeader}
          showTypeIcons={options.showTypeIcons}
          sortBy={options.sortBy}
          cellHeight={options.cellHeight}
          maxRowHeight={options.maxRowHeight}
          frozenColumns={options.frozenColumns?.left}
          enablePagination={options.enablePagination ?? options.footer?.enablePagination}
          pageSize={options.pageSize}
          timeRange={timeRange(range)}
          fieldConfig={fieldConfigOf(panel)}
          noValue={fieldConfigOf(panel).defaults.noValue}
          transparent={panel.transparent}
          resizable
        />
      </div>
      {picker > 0 && (
        <div style={{ padding: '8px 8px 0' }}>
          <Select options={names} value={names[chosen]} onChange={() => {}} />
        </div>
      )}
    </>
  );
}
