// What the dashboard's server is asked (dashboard/api.h).

export interface Session {
  role: 'admin' | 'tenant';
  tenant: string;
  csrf: string;
}

export class Failure extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

let csrf = '';

async function call<T>(path: string, init: RequestInit = {}): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: 'same-origin', ...init });
  } catch {
    throw new Failure(0, 'offline', 'the dashboard does not answer');
  }
  const body = (await response.json().catch(() => ({}))) as { error?: { code: string; message: string } };
  if (response.ok) return body as T;
  const failure = new Failure(
    response.status,
    body.error?.code ?? 'failed',
    body.error?.message ?? `status ${response.status}`,
  );
  if (response.status === 401 && failure.code === 'session') window.dispatchEvent(new Event('logged-out'));
  throw failure;
}

const get = <T>(path: string): Promise<T> => call<T>(path);
const post = <T>(path: string, body: object): Promise<T> =>
  call<T>(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Paddock-CSRF': csrf },
    body: JSON.stringify(body),
  });

async function remember(asked: Promise<Session>): Promise<Session> {
  const session = await asked;
  csrf = session.csrf;
  return session;
}

export const session = (): Promise<Session> => remember(get<Session>('api/session'));
export const login = (token: string): Promise<Session> => remember(post<Session>('api/login', { token }));
export const logout = (): Promise<object> => post('api/logout', {});

export type Verb = 'start' | 'stop' | 'restart' | 'kill' | 'freeze' | 'thaw' | 'block' | 'unblock' | 'throttle' | 'unthrottle';
export const act = (tenant: string, verb: Verb, body: { reason?: string; plan?: string; until?: number } = {}): Promise<object> =>
  post(`api/tenants/${encodeURIComponent(tenant)}/${verb}`, body);

export interface RunningRequest {
  pid: number;
  method: string;
  uri: string;
  script: string;
  age_ms: number;
  memory_bytes: number | null;
}
export interface TenantStatus {
  name: string;
  user: string;
  plan: string;
  state: string;
  problem: string;
  block_reason: string;
  block_until: number | null;
  started_at: number | null;
  workers: number;
  workers_max: number;
  requests: number;
  refused: number;
  memory_bytes: number | null;
  memory_max_bytes: number | null;
  memory_peak_bytes: number | null;
  running: RunningRequest[];
  throttled_to: string;
  throttled_until: number | null;
  refused_for: { reason: string; requests: number }[];
  queue: number;
  slow_clients: number;
  unread: number;
  mails: number;
  mails_refused: number;
  mails_last_hour: number;
}
export const tenantStatus = async (tenant: string): Promise<TenantStatus> => {
  const found = await get<{ tenants: TenantStatus[] }>(`api/tenants/${encodeURIComponent(tenant)}`);
  const status = found.tenants[0];
  if (!status) throw new Failure(404, 'unknown-tenant', 'there is no such tenant');
  return status;
};

export interface Usage {
  active_ms: number;
  cpu_user_us: number;
  cpu_system_us: number;
  memory_bytes: number;
  io_read_bytes: number;
  io_written_bytes: number;
  requests: number;
  request_us: number;
  refused: number;
  queued: number;
  queue_us: number;
  starts: number;
  crashes: number;
  oom_kills: number;
  [key: string]: number;
}
export interface TenantUsage {
  tenant: string;
  usage: Usage;
  samples: { start: number; usage: Usage }[];
}
export type Step = 'minute' | 'hour' | 'day';
export const usageOf = async (tenant: string, since: number, step: Step): Promise<TenantUsage | undefined> => {
  const query = new URLSearchParams({ tenant, since: String(since), step });
  return (await get<{ tenants: TenantUsage[] }>(`api/usage?${query}`)).tenants[0];
};
export const usageTop = async (top: string, since: number, limit: number): Promise<TenantUsage[]> => {
  const query = new URLSearchParams({ top, since: String(since), limit: String(limit) });
  return (await get<{ tenants: TenantUsage[] }>(`api/usage?${query}`)).tenants;
};

export interface PaddockEvent {
  id: number;
  time_ms: number;
  tenant: string;
  kind: string;
  actor: string;
  text: string;
  snapshot: string;
}
export const events = async (tenant: string, limit: number): Promise<PaddockEvent[]> => {
  const query = new URLSearchParams({ limit: String(limit), ...(tenant ? { tenant } : {}) });
  return (await get<{ events: PaddockEvent[] }>(`api/events?${query}`)).events;
};

export interface Rule {
  name: string;
  condition: string;
  window_s: number;
  action: string;
  plan: string;
  duration_s: number;
  dry_run: boolean;
}
export interface RuleReport {
  since: number;
  rules: Rule[];
  fired: PaddockEvent[];
}
export const rules = (): Promise<RuleReport> => get<RuleReport>('api/rules');
export const log = async (tenant: string): Promise<string> =>
  (await get<{ text: string }>(`api/tenants/${encodeURIComponent(tenant)}/log`)).text;
