// Charts by uPlot, in the colours of the page.

import uPlot from 'uplot';

// Okabe and Ito's palette: told apart by people who see colours otherwise, on light and on dark.
export const PALETTE = ['#0072B2', '#E69F00', '#009E73', '#CC79A7', '#56B4E9', '#D55E00', '#B8A800', '#8A8F98'];

function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const charts = new Set<uPlot>();
const observer = new ResizeObserver((entries) => {
  for (const entry of entries)
    for (const chart of charts)
      if (chart.root.parentElement === entry.target && entry.contentRect.width > 0)
        chart.setSize({ width: Math.floor(entry.contentRect.width), height: chart.height });
});

export interface ChartOptions {
  height?: number;
  unit: (value: number) => string;
  sync?: string;
  max?: number; // the axis goes to this at the least
}

// Seconds between marks of the time axis.
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000, 864000];

function clock(time: number, step: number): string {
  const date = new Date(time * 1000);
  const pad = (n: number): string => String(n).padStart(2, '0');
  if (step >= 86400) return `${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${pad(date.getHours())}:${pad(date.getMinutes())}${step < 60 ? `:${pad(date.getSeconds())}` : ''}`;
}

function axes(options: ChartOptions): uPlot.Axis[] {
  const common = {
    stroke: css('--muted'),
    grid: { stroke: css('--grid'), width: 1 },
    ticks: { stroke: css('--grid'), width: 1 },
    font: '11px system-ui, sans-serif',
  };
  return [
    { ...common, space: 80, incrs: STEPS, values: (_, times, _axis, _space, step) => times.map((time) => clock(time, step)) },
    { ...common, size: 74, space: 34, values: (_, values) => values.map((value) => options.unit(value)) },
  ];
}

function make(
  parent: HTMLElement,
  series: uPlot.Series[],
  data: uPlot.AlignedData,
  options: ChartOptions,
  bands?: uPlot.Band[],
): uPlot {
  const chart = new uPlot(
    {
      width: Math.max(200, Math.floor(parent.clientWidth || 600)),
      height: options.height ?? 180,
      padding: [8, 12, 0, 0],
      legend: { show: false },
      cursor: {
        points: { size: 6 },
        ...(options.sync ? { sync: { key: options.sync, setSeries: false } } : {}),
        drag: { x: false, y: false },
      },
      scales: {
        x: { time: true },
        y: { range: (_u, _min, max) => [0, Math.max(max * 1.08, options.max ?? 0, 1e-6)] },
      },
      axes: axes(options),
      series: [{}, ...series],
      ...(bands ? { bands } : {}),
    },
    data,
    parent,
  );
  charts.add(chart);
  observer.observe(parent);
  return chart;
}

export interface Line {
  label: string;
  color: string;
  values: (number | null)[];
  dashed?: boolean;
}

// A chart with its legend, drawn anew with each call of update().
export class Chart {
  private chart: uPlot | undefined;
  private shape = '';
  private readonly plot = document.createElement('div');
  private readonly legend = document.createElement('ul');
  readonly root = document.createElement('div');

  constructor(
    private readonly title: string,
    private readonly options: ChartOptions,
    private readonly stacked = false,
  ) {
    this.root.className = 'chart';
    this.plot.className = 'plot';
    this.plot.setAttribute('role', 'img');
    this.legend.className = 'legend';
    const heading = document.createElement('h2');
    heading.textContent = title;
    this.root.append(heading, this.plot, this.legend);
  }

  update(times: number[], lines: Line[]): void {
    const shape = lines.map((line) => `${line.label}\0${line.color}`).join('\n') + document.documentElement.dataset.theme;
    const columns = this.stacked ? stack(lines) : lines.map((line) => line.values);
    const data = [times, ...columns] as uPlot.AlignedData;
    if (shape !== this.shape || !this.chart) {
      this.destroy();
      this.shape = shape;
      const series = lines.map((line) => ({
        label: line.label,
        stroke: line.color,
        width: this.stacked ? 1 : 1.75,
        points: { show: false },
        spanGaps: false,
        ...(line.dashed ? { dash: [6, 4] } : {}),
        ...(this.stacked ? { fill: line.color + '66' } : lines.length === 1 ? { fill: line.color + '22' } : {}),
      }));
      const bands = this.stacked
        ? lines.slice(1).map((_, i) => ({ series: [i + 1, i + 2] as [number, number] }))
        : undefined;
      this.chart = make(this.plot, series, data, this.options, bands);
    } else {
      this.chart.setData(data);
    }
    this.tell(times, lines);
  }

  // The last values, for those who cannot see or tell colours: in the legend and as the picture's name.
  private tell(times: number[], lines: Line[]): void {
    const last = times.length - 1;
    const words: string[] = [];
    const items = lines.map((line) => {
      const value = last >= 0 ? (line.values[last] ?? 0) : 0;
      const text = this.options.unit(value);
      words.push(`${line.label} ${text}`);
      const item = document.createElement('li');
      const swatch = document.createElement('span');
      swatch.className = 'swatch';
      swatch.style.background = line.color;
      const name = document.createElement('span');
      name.className = 'name';
      name.textContent = line.label;
      const figure = document.createElement('b');
      figure.textContent = text;
      item.append(swatch, name, figure);
      return item;
    });
    this.legend.replaceChildren(...items);
    this.plot.setAttribute('aria-label', `${this.title}: ${words.join(', ') || 'no data yet'}`);
  }

  destroy(): void {
    if (!this.chart) return;
    charts.delete(this.chart);
    observer.unobserve(this.plot);
    this.chart.destroy();
    this.chart = undefined;
  }
}

// Each column on top of those behind it; the first is the highest line, so that bands fill downwards.
function stack(lines: Line[]): (number | null)[][] {
  const sums: (number | null)[][] = [];
  let below: (number | null)[] | undefined;
  for (const line of [...lines].reverse()) {
    const under = below;
    below = line.values.map((value, i) => (value ?? 0) + (under?.[i] ?? 0));
    sums.unshift(below);
  }
  return sums;
}

export function sparkline(canvas: HTMLCanvasElement, values: number[], color: string): void {
  const scale = window.devicePixelRatio || 1;
  const width = 96;
  const height = 22;
  if (canvas.width !== width * scale) {
    canvas.width = width * scale;
    canvas.height = height * scale;
  }
  const context = canvas.getContext('2d');
  if (!context) return;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const shown = values.slice(-60);
  if (shown.length < 2) return;
  const highest = Math.max(...shown, 1);
  const x = (i: number): number => (i / (shown.length - 1)) * (width - 2) + 1;
  const y = (value: number): number => height - 2 - (value / highest) * (height - 4);
  context.beginPath();
  shown.forEach((value, i) => (i === 0 ? context.moveTo(x(i), y(value)) : context.lineTo(x(i), y(value))));
  context.strokeStyle = color;
  context.lineWidth = 1.5;
  context.stroke();
  context.lineTo(x(shown.length - 1), height);
  context.lineTo(x(0), height);
  context.fillStyle = color + '33';
  context.fill();
}
