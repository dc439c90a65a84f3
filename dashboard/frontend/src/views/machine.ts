// The machine: how much is left, and who takes what.

import { usageOf, usageTop } from '../api';
import { Chart, PALETTE, type Line } from '../charts';
import { h } from '../dom';
import { bytes, duration, percent, perSecond } from '../format';
import type { Model, Tenant } from '../model';
import { rangePicker, tile } from './parts';
import { type Range, RANGES, STEP_SECONDS, type View } from './view';

const SHOWN = 7; // tenants with a colour of their own; the others share one
const OTHERS = PALETTE[PALETTE.length - 1]!;

type Figure = 'cpu' | 'memory' | 'requests';

export function machineView(model: Model): View {
  let range: Range = 'live';
  const tiles = {
    cpu: tile('CPU'),
    memory: tile('Memory available'),
    tenants: tile('Tenants'),
    requests: tile('Requests'),
    refused: tile('Refused'),
    load: tile('Load, 1 min'),
  };
  const cpu = new Chart('CPU by tenant', { unit: percent, sync: 'machine', max: 10 }, true);
  const memory = new Chart('Memory by tenant', { unit: bytes, sync: 'machine', max: 16 * 1048576 }, true);
  const requests = new Chart('Requests by tenant', { unit: perSecond, sync: 'machine', max: 2 }, true);
  const charts: [Figure, Chart][] = [
    ['cpu', cpu],
    ['memory', memory],
    ['requests', requests],
  ];
  const note = h('p', { class: 'muted', role: 'status' });
  const host = h('p', { class: 'muted small' });
  const root = h(
    'section',
    { class: 'view' },
    h('div', { class: 'head' }, h('h1', {}, 'Machine'), rangePicker(choose)),
    h('div', { class: 'tiles' }, ...Object.values(tiles).map((each) => each.root)),
    note,
    h('div', { class: 'charts' }, cpu.root, memory.root, requests.root),
    host,
  );

  function choose(chosen: Range): void {
    range = chosen;
    if (range === 'live') refresh();
    else void past(range);
  }

  // Who had most over what is shown, each with a colour; the same tenant keeps its colour while it stays among them.
  const colors = new Map<string, string>();
  function colorOf(names: string[]): Map<string, string> {
    for (const name of colors.keys()) if (!names.includes(name)) colors.delete(name);
    const free = PALETTE.slice(0, SHOWN).filter((color) => ![...colors.values()].includes(color));
    for (const name of names) if (!colors.has(name)) colors.set(name, free.shift() ?? OTHERS);
    return colors;
  }

  function live(): void {
    const tenants = [...model.tenants.values()].filter((tenant) => tenant.history.length > 0);
    const times = [...new Set(tenants.flatMap((tenant) => tenant.history.map((point) => point.time)))].sort((a, b) => a - b);
    const weight = (tenant: Tenant): number =>
      tenant.history.reduce((sum, point) => sum + point.cpu * 1e6 + point.memory / 1024 + point.requests * 1e4, 0);
    const heavy = tenants
      .map((tenant) => [weight(tenant), tenant] as const)
      .sort((a, b) => b[0] - a[0])
      .slice(0, SHOWN)
      .map(([, tenant]) => tenant);
    const own = colorOf(heavy.map((tenant) => tenant.name));
    const index = new Map(times.map((time, i) => [time, i]));
    for (const [figure, chart] of charts) {
      const lines: Line[] = [];
      const column = (some: Tenant[]): number[] => {
        const values = new Array<number>(times.length).fill(0);
        for (const tenant of some)
          for (const point of tenant.history) {
            const at = index.get(point.time)!;
            values[at] = values[at]! + point[figure];
          }
        return values;
      };
      for (const tenant of heavy) lines.push({ label: tenant.name, color: own.get(tenant.name)!, values: column([tenant]) });
      const rest = tenants.filter((tenant) => !heavy.includes(tenant));
      if (rest.length > 0) lines.push({ label: `${rest.length} others`, color: OTHERS, values: column(rest) });
      chart.update(times, lines);
    }
    note.textContent = tenants.length === 0 ? 'No tenant runs now. The first request starts one.' : '';
  }

  async function past(asked: Exclude<Range, 'live'>): Promise<void> {
    const { seconds, step } = RANGES[asked];
    const period = STEP_SECONDS[step];
    const now = Math.floor(Date.now() / 1000);
    const since = now - seconds;
    try {
      const top = await usageTop('cpu', since, SHOWN);
      const found = (await Promise.all(top.map((each) => usageOf(each.tenant, since, step)))).filter((each) => each !== undefined);
      if (range !== asked) return;
      const first = Math.floor(since / period) * period;
      const times: number[] = [];
      for (let time = first; time <= now; time += period) times.push(time);
      const own = colorOf(found.map((each) => each.tenant));
      for (const [figure, chart] of charts)
        chart.update(
          times,
          found.map((each) => {
            const values = new Array<number>(times.length).fill(0);
            for (const { start, usage } of each.samples) {
              const at = Math.round((start - first) / period);
              if (at < 0 || at >= values.length) continue;
              values[at] =
                figure === 'cpu'
                  ? (usage.cpu_user_us + usage.cpu_system_us) / period / 1e4
                  : figure === 'memory'
                    ? (usage.memory_bytes * usage.active_ms) / 1000 / period
                    : usage.requests / period;
            }
            return { label: each.tenant, color: own.get(each.tenant)!, values };
          }),
        );
      note.textContent =
        found.length === 0 ? `Nobody has used anything in the last ${asked}.` : `Averages of each ${step}, of those who took most CPU.`;
    } catch (failure) {
      note.textContent = (failure as Error).message;
    }
  }

  function refresh(): void {
    const machine = model.machine;
    const all = [...model.tenants.values()];
    const sum = (figure: 'cpu' | 'requests' | 'refused' | 'memory'): number =>
      all.reduce((total, tenant) => total + tenant[figure], 0);
    if (machine) {
      tiles.cpu.set(`${Math.round(machine.cpu / machine.cpus)} %`, `of ${machine.cpus} CPUs; tenants ${Math.round(sum('cpu') / machine.cpus)} %`);
      tiles.memory.set(bytes(machine.available), `of ${bytes(machine.memory)}; tenants ${bytes(sum('memory'))}`);
      tiles.load.set(machine.load.toFixed(2), `${machine.cpus} CPUs`);
    }
    const running = all.filter((tenant) => tenant.state === 'running').length;
    const barred = all.filter((tenant) => tenant.state === 'blocked' || tenant.state === 'frozen').length;
    tiles.tenants.set(String(all.length), `${running} running${barred ? `, ${barred} blocked or frozen` : ''}`);
    tiles.requests.set(perSecond(sum('requests')), 'answered by workers');
    tiles.refused.set(perSecond(sum('refused')), 'answered by the gateway');
    if (range === 'live') live();
    if (model.host) {
      const { version, php, started_at, missing } = model.host;
      host.textContent =
        `Paddock ${version}, PHP ${php || 'not ready'}, up ${duration(Date.now() / 1000 - started_at)}.` +
        (missing.length > 0 ? ` NOT ENFORCED here, since cgroup v2 lacks the controllers: ${missing.join(', ')}.` : '');
    }
  }

  return {
    root,
    refresh,
    destroy: () => charts.forEach(([, chart]) => chart.destroy()),
  };
}
