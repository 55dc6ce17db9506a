import { dateTime, type TimeRange } from '@grafana/data';

export function timeRange({ from, to }: { from: number; to: number }, raw?: { from: string; to: string }): TimeRange {
  const [start, end] = [dateTime(from), dateTime(to)];
  return { from: start, to: end, raw: raw ?? { from: start, to: end } };
}
