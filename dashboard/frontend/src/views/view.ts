// A page of the dashboard: drawn once, refreshed with each change of the model.

export interface View {
  root: HTMLElement;
  refresh(): void;
  destroy(): void;
}

export type Range = 'live' | '1h' | '24h' | '30d';
export const RANGES: Record<Exclude<Range, 'live'>, { seconds: number; step: 'minute' | 'hour' | 'day' }> = {
  '1h': { seconds: 3600, step: 'minute' },
  '24h': { seconds: 86400, step: 'hour' },
  '30d': { seconds: 30 * 86400, step: 'day' },
};
export const STEP_SECONDS = { minute: 60, hour: 3600, day: 86400 };
