// The live picture: what the server's stream of events says (dashboard/page_json.h).

import type { PaddockEvent } from './api';

export interface Point {
  time: number; // seconds since the epoch, as uPlot wants it
  cpu: number;
  memory: number;
  requests: number;
  refused: number;
  io: number;
  run: number;
  queue: number;
  busy: number;
}

export interface Tenant {
  name: string;
  user: string;
  plan: string;
  problem: string;
  blockReason: string;
  startedAt: number | null;
  workersMax: number;
  memoryMax: number | null;
  state: string;
  cpu: number;
  memory: number;
  requests: number;
  refused: number;
  busy: number;
  workers: number;
  pids: number;
  io: number;
  run: number;
  queue: number;
  faults: number;
  limits: number;
  refusedTotal: number;
  history: Point[];
}

export interface Machine {
  cpus: number;
  cpu: number;
  load: number;
  memory: number;
  available: number;
}
export interface Host {
  version: string;
  php: string;
  started_at: number;
  gateway: boolean;
  zygote: boolean;
  missing: string[];
  plans: string[];
}

type Row = [string, string, ...number[]];
interface WireTenant {
  name: string;
  user: string;
  plan: string;
  problem: string;
  block_reason: string;
  started_at: number | null;
  workers_max: number;
  memory_max: number | null;
  row: Row;
  history: [number, number, number, number][];
}
interface Tick {
  time_ms: number;
  up: boolean;
  rows: Row[];
  machine?: Machine;
}
interface Overview {
  time_ms: number;
  up: boolean;
  tenants: WireTenant[];
  machine?: Machine;
  host?: Host;
}

const KEPT = 300;
const KEPT_EVENTS = 500;

export class Model extends EventTarget {
  readonly tenants = new Map<string, Tenant>();
  machine: Machine | undefined;
  host: Host | undefined;
  up = true;
  connected = false;
  events: PaddockEvent[] = [];
  private source: EventSource | undefined;

  connect(): void {
    this.close();
    const source = new EventSource('api/live');
    this.source = source;
    source.addEventListener('overview', (event) => this.overview(JSON.parse(event.data) as Overview));
    source.addEventListener('tick', (event) => this.tick(JSON.parse(event.data) as Tick));
    source.addEventListener('events', (event) => this.news(JSON.parse(event.data) as PaddockEvent[]));
    source.addEventListener('logout', () => window.dispatchEvent(new Event('logged-out')));
    source.addEventListener('open', () => this.setConnected(true));
    source.addEventListener('error', () => this.setConnected(false));
  }

  close(): void {
    this.source?.close();
    this.source = undefined;
  }

  private setConnected(connected: boolean): void {
    this.connected = connected;
    this.changed();
  }

  private changed(): void {
    this.dispatchEvent(new Event('change'));
  }

  private overview(all: Overview): void {
    this.up = all.up;
    this.machine = all.machine;
    this.host = all.host;
    const names = new Set(all.tenants.map((tenant) => tenant.name));
    for (const name of this.tenants.keys()) if (!names.has(name)) this.tenants.delete(name);
    for (const wire of all.tenants) {
      const tenant: Tenant = {
        name: wire.name,
        user: wire.user,
        plan: wire.plan,
        problem: wire.problem,
        blockReason: wire.block_reason,
        startedAt: wire.started_at,
        workersMax: wire.workers_max,
        memoryMax: wire.memory_max,
        history: wire.history.map(([ms, cpu, memory, requests]) => ({
          ...nothing,
          time: ms / 1000,
          cpu,
          memory,
          requests,
        })),
        ...figures(wire.row),
      };
      this.tenants.set(wire.name, tenant);
    }
    this.changed();
  }

  private tick(tick: Tick): void {
    this.up = tick.up;
    if (tick.machine) this.machine = tick.machine;
    const rows = new Map(tick.rows.map((row) => [row[0], row]));
    const time = tick.time_ms / 1000;
    for (const tenant of this.tenants.values()) {
      const row = rows.get(tenant.name);
      Object.assign(tenant, row ? figures(row) : figures([tenant.name, 'stopped']));
      const last = tenant.history.at(-1);
      if (last && last.time >= time) continue;
      if (!row && (!last || (last.memory === 0 && last.cpu === 0 && tenant.history.length < 2))) continue;
      const { cpu, memory, requests, refused, io, run, queue, busy } = tenant;
      tenant.history.push({ time, cpu, memory, requests, refused, io, run, queue, busy });
      if (tenant.history.length > KEPT) tenant.history.shift();
    }
    this.changed();
  }

  private news(events: PaddockEvent[]): void {
    const last = this.events.at(-1)?.id ?? 0;
    this.events.push(...events.filter((event) => event.id > last));
    this.events.splice(0, Math.max(0, this.events.length - KEPT_EVENTS));
    this.dispatchEvent(new Event('news'));
  }
}

const nothing = { cpu: 0, memory: 0, requests: 0, refused: 0, io: 0, run: 0, queue: 0, busy: 0 };

// In the order that page_json.cc writes.
function figures(row: Row): Omit<
  Tenant,
  'name' | 'user' | 'plan' | 'problem' | 'blockReason' | 'startedAt' | 'workersMax' | 'memoryMax' | 'history'
> {
  const n = (index: number): number => (row[index] as number | undefined) ?? 0;
  return {
    state: row[1],
    cpu: n(2),
    memory: n(3),
    requests: n(4),
    refused: n(5),
    busy: n(6),
    workers: n(7),
    pids: n(8),
    io: n(9),
    run: n(10),
    queue: n(11),
    faults: n(12),
    limits: n(13),
    refusedTotal: n(14),
  };
}
