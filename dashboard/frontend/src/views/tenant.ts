// One tenant: all figures on one time axis, what runs now, what happened, and what can be done.

import * as api from '../api';
import { Chart, PALETTE, type Line } from '../charts';
import { confirmAction, toast } from '../dialog';
import { fill, h, setText, tame } from '../dom';
import { bytes, decimal, duration, milliseconds, percent, perSecond, time } from '../format';
import { slowTraces } from '../slow';
import type { Model, Point } from '../model';
import { eventItem, rangePicker, stateBadge, tile } from './parts';
import { type Range, RANGES, STEP_SECONDS, type View } from './view';

type Figures = Omit<Point, 'time'>;
interface Spec {
  chart: Chart;
  lines: { label: string; color: string; dashed?: boolean; of: (point: Figures) => number }[];
}

// For the tenant to read: what happened, and what would help.
const WHY_REFUSED: Record<string, string> = {
  blocked: 'an administrator has blocked this site',
  frozen: 'an administrator has frozen this site',
  unusable: 'its account or home is missing',
  'start-failed': 'its sandbox could not be started; the log says why',
  'queue-full': 'all workers were busy, and as many requests waited as the plan allows',
  'machine-full': 'all sites together had as many requests in the web server as may be, and this one most of them',
  'queue-time': 'it had waited as long as the plan allows: requests run too long, or there are too many',
  'slow-clients': 'too many clients at once were sending slowly',
  unread: 'the client did not take its answer',
  'receive-time': 'the client took too long to send its request',
  removed: 'this site was taken out of the configuration',
  'header-size': 'the header of the request, cookies included, was larger than the plan allows',
  'body-size': 'the request was larger than the plan allows',
  'apache-limit': 'as many requests of this site were in the web server as may be',
  'backlog-full': 'its workers took nothing from the web server',
  'not-running': 'Paddock was not running',
  'spool-full': 'there was no room left for large requests',
};

export function tenantView(model: Model, name: string, admin: boolean): View {
  let range: Range = 'live';
  let status: api.TenantStatus | undefined;
  let known = 0; // events that are shown
  const sync = `tenant ${name}`;
  const blue = PALETTE[0]!;
  const orange = PALETTE[5]!;
  const specs: Spec[] = [
    { chart: new Chart('CPU', { unit: percent, sync, height: 130, max: 10 }), lines: [{ label: 'of one core', color: blue, of: (p) => p.cpu }] },
    { chart: new Chart('Memory', { unit: bytes, sync, height: 130, max: 16 * 1048576 }), lines: [{ label: 'charged', color: PALETTE[2]!, of: (p) => p.memory }] },
    {
      chart: new Chart('Requests', { unit: perSecond, sync, height: 130, max: 2 }),
      lines: [
        { label: 'answered', color: blue, of: (p) => p.requests },
        { label: 'refused', color: orange, dashed: true, of: (p) => p.refused },
      ],
    },
    {
      chart: new Chart('Latency', { unit: milliseconds, sync, height: 130, max: 10 }),
      lines: [
        { label: 'running', color: blue, of: (p) => p.run },
        { label: 'queued', color: orange, dashed: true, of: (p) => p.queue },
      ],
    },
    { chart: new Chart('Disk', { unit: (v) => `${bytes(v)}/s`, sync, height: 130, max: 1048576 }), lines: [{ label: 'read and written', color: PALETTE[3]!, of: (p) => p.io }] },
    { chart: new Chart('Busy workers', { unit: decimal, sync, height: 130, max: 1 }), lines: [{ label: 'in a request', color: PALETTE[1]!, of: (p) => p.busy }] },
  ];
  const tiles = { cpu: tile('CPU'), memory: tile('Memory'), requests: tile('Requests'), busy: tile('Workers busy'), pids: tile('Processes'), queue: tile('Queue'), faults: tile('Faults') };
  const badge = h('span', { class: 'badge' });
  const about = h('p', { class: 'muted' });
  const why = h('p', { class: 'why', role: 'status' });
  const actions = h('div', { class: 'actions' });
  const note = h('p', { class: 'muted', role: 'status' });
  const running = h('tbody');
  const events = h('ul', { class: 'events' });
  const slow = h('ul', { class: 'events' });
  const slowHead = h('h2', { hidden: true }, 'Slow requests');
  const refusals = h('ul', { class: 'plain' });
  const refusalsHead = h('h2', { hidden: true }, 'Why requests were refused');
  const root = h(
    'section',
    { class: 'view' },
    h(
      'div',
      { class: 'head' },
      h('h1', {}, admin && h('a', { href: '#/tenants', class: 'back', 'aria-label': 'All tenants' }, '‹'), name, badge),
      rangePicker(choose),
    ),
    about,
    why,
    admin && actions,
    h('div', { class: 'tiles' }, ...Object.values(tiles).map((each) => each.root)),
    note,
    h('div', { class: 'charts two' }, ...specs.map(({ chart }) => chart.root)),
    h('h2', {}, 'Running requests'),
    h(
      'div',
      { class: 'scrollx', tabindex: 0, role: 'region', 'aria-label': 'Running requests' },
      h(
        'table',
        { class: 'requests' },
        h('thead', {}, h('tr', {}, ...['Pid', 'Age', 'Memory', 'Method', 'URL', 'Script'].map((title) => h('th', { scope: 'col' }, title)))),
        running,
      ),
    ),
    slowHead,
    slow,
    refusalsHead,
    refusals,
    h('h2', {}, 'Events'),
    events,
  );

  const VERBS: [api.Verb, (state: string, throttled: boolean) => boolean][] = [
    ['start', (state) => state === 'stopped'],
    ['stop', (state) => state === 'running'],
    ['restart', (state) => state === 'running'],
    ['throttle', (_, throttled) => !throttled],
    ['unthrottle', (_, throttled) => throttled],
    ['freeze', (state) => state === 'running'],
    ['thaw', (state) => state === 'frozen'],
    ['kill', (state) => ['running', 'starting', 'stopping', 'frozen'].includes(state)],
    ['block', (state) => state !== 'blocked'],
    ['unblock', (state) => state === 'blocked'],
  ];
  const buttons = VERBS.map(([verb, possible]) => {
    const label = verb[0]!.toUpperCase() + verb.slice(1);
    const button = h('button', { type: 'button', class: verb === 'kill' || verb === 'block' ? 'danger' : '' }, label);
    button.addEventListener('click', () => void confirmAction(name, verb, plans(verb)).then(look));
    actions.append(button);
    return { button, possible };
  });

  // Its own plan's limits are no throttle.
  function plans(verb: api.Verb): string[] {
    return verb === 'throttle' ? (model.host?.plans ?? []).filter((plan) => plan !== status?.plan) : [];
  }

  function choose(chosen: Range): void {
    range = chosen;
    if (range === 'live') refresh();
    else void past(range);
  }

  function show(times: number[], points: (Figures | undefined)[]): void {
    for (const { chart, lines } of specs)
      chart.update(
        times,
        lines.map(({ label, color, dashed, of }): Line => ({
          label,
          color,
          ...(dashed ? { dashed } : {}),
          values: points.map((point) => (point ? of(point) : null)),
        })),
      );
  }

  async function past(asked: Exclude<Range, 'live'>): Promise<void> {
    const { seconds, step } = RANGES[asked];
    const period = STEP_SECONDS[step];
    const now = Math.floor(Date.now() / 1000);
    const since = now - seconds;
    try {
      const found = await api.usageOf(name, since, step);
      if (range !== asked) return;
      const by = new Map(found?.samples.map((sample) => [sample.start, sample.usage]));
      const times: number[] = [];
      for (let at = Math.floor(since / period) * period; at <= now; at += period) times.push(at);
      show(
        times,
        times.map((at) => {
          const usage = by.get(at);
          if (!usage) return { cpu: 0, memory: 0, requests: 0, refused: 0, io: 0, run: 0, queue: 0, busy: 0 };
          return {
            cpu: (usage.cpu_user_us + usage.cpu_system_us) / period / 1e4,
            memory: usage.memory_bytes,
            requests: usage.requests / period,
            refused: usage.refused / period,
            io: (usage.io_read_bytes + usage.io_written_bytes) / period,
            run: usage.requests ? usage.request_us / usage.requests / 1e3 : 0,
            queue: usage.queued ? usage.queue_us / usage.queued / 1e3 : 0,
            busy: usage.request_us / 1e6 / period,
          };
        }),
      );
      setText(note, `Averages of each ${step}.`);
    } catch (failure) {
      setText(note, (failure as Error).message);
    }
  }

  async function look(): Promise<void> {
    try {
      status = await api.tenantStatus(name);
    } catch (failure) {
      if (failure instanceof api.Failure && failure.status === 404) setText(why, failure.message);
      return;
    }
    const rows = status.running.map((request) =>
      h(
        'tr',
        {},
        h('td', { class: 'number' }, String(request.pid)),
        h('td', { class: 'number' }, milliseconds(request.age_ms)),
        h('td', { class: 'number' }, request.memory_bytes === null ? '–' : bytes(request.memory_bytes)),
        h('td', {}, tame(request.method, 20)),
        h('td', { class: 'long' }, tame(request.uri)),
        h('td', { class: 'long' }, tame(request.script)),
      ),
    );
    fill(running, ...(rows.length > 0 ? rows : [h('tr', {}, h('td', { colspan: 6, class: 'muted' }, 'No request runs now.'))]));
    refresh();
  }

  async function lookForSlow(): Promise<void> {
    const traces = slowTraces(await api.log(name).catch(() => ''), 20);
    slowHead.hidden = slow.hidden = traces.length === 0;
    const key = traces.map((trace) => trace.time + trace.request).join();
    if (slow.dataset.key === key) return; // what was opened stays open
    slow.dataset.key = key;
    fill(
      slow,
      ...traces.map((trace) =>
        h(
          'li',
          { class: 'event' },
          h('time', {}, tame(trace.time, 40)),
          h('span', { class: 'text' }, tame(trace.request)),
          trace.frames.length > 0 &&
            h('details', {}, h('summary', {}, 'Where it was'), h('ol', { start: 0 }, ...trace.frames.map((frame) => h('li', {}, h('code', {}, tame(frame.replace(/^#\d+ /, ''))))))),
        ),
      ),
    );
  }

  function tell(): void {
    const mine = model.events.filter((event) => event.tenant === name);
    if (mine.length === known) return;
    known = mine.length;
    fill(events, ...mine.slice(-50).reverse().map((event) => eventItem(event, false)));
  }

  function refresh(): void {
    const tenant = model.tenants.get(name);
    const state = tenant?.state ?? status?.state ?? '';
    if (badge.textContent !== state) fill(badge, state ? stateBadge(state) : null);
    for (const { button, possible } of buttons) button.hidden = !possible(state, Boolean(status?.throttled_to));
    if (status) {
      const parts = [`Plan ${status.plan}`, `user ${status.user}`];
      if (status.started_at && tenant?.state !== 'stopped') parts.push(`up ${duration(Date.now() / 1000 - status.started_at)}`);
      parts.push(`${status.requests.toLocaleString('en')} requests answered, ${status.refused.toLocaleString('en')} refused since the supervisor started`);
      if (status.mails + status.mails_refused > 0)
        parts.push(`${status.mails.toLocaleString('en')} mails sent, ${status.mails_refused.toLocaleString('en')} refused, to ${status.mails_last_hour.toLocaleString('en')} recipients in the last hour`);
      if (status.throttled_to)
        parts.push(`throttled to ${status.throttled_to}${status.throttled_until ? ` until ${time(status.throttled_until * 1000)}` : ''}`);
      setText(about, parts.join(' · '));
      const reasons = status.refused_for.filter((each) => each.requests > 0).sort((a, b) => b.requests - a.requests);
      fill(refusals, ...reasons.map((each) => h('li', {}, h('b', {}, each.requests.toLocaleString('en')), ` ${tame(each.reason, 60)}: ${WHY_REFUSED[each.reason] ?? 'see paddock(1)'}`)));
      refusalsHead.hidden = reasons.length === 0;
      tiles.queue.set(String(status.queue), status.slow_clients + status.unread > 0 ? `and ${status.slow_clients + status.unread} slow clients` : 'waiting for a worker');
      const reason = status.block_reason ? `Blocked${status.block_until ? ` until ${time(status.block_until * 1000)}` : ''}: ${status.block_reason}` : status.problem;
      setText(why, tame(reason));
    }
    if (tenant) {
      tiles.cpu.set(percent(tenant.cpu), 'of one core');
      tiles.memory.set(tenant.memory ? bytes(tenant.memory) : '–', tenant.memoryMax ? `of ${bytes(tenant.memoryMax)}` : 'not limited');
      tiles.requests.set(perSecond(tenant.requests), tenant.run ? `${milliseconds(tenant.run)} each` : '');
      tiles.busy.set(`${tenant.busy} of ${tenant.workersMax}`, tenant.queue ? `queued for ${milliseconds(tenant.queue)}` : '');
      tiles.pids.set(String(tenant.pids));
      tiles.faults.set(String(tenant.faults), 'crashes and out of memory, in all');
      if (range === 'live') show(tenant.history.map((point) => point.time), tenant.history);
    }
    if (range === 'live') setText(note, !tenant || tenant.history.length > 0 ? '' : tenant.state === 'running' ? 'Its first figures come in a moment.' : 'It does not run now.');
  }

  const timer = window.setInterval(() => void look(), 2000);
  const slowTimer = window.setInterval(() => void lookForSlow(), 15_000);
  model.addEventListener('news', tell);
  void look();
  void lookForSlow();
  tell();
  api
    .events(name, 50)
    .then((found) => {
      if (known === 0) fill(events, ...found.reverse().map((event) => eventItem(event, false)));
      if (found.length === 0 && known === 0) fill(events, h('li', { class: 'muted' }, 'None yet.'));
    })
    .catch((failure: Error) => toast(failure.message, true));
  return {
    root,
    refresh,
    destroy: () => {
      window.clearInterval(timer);
      window.clearInterval(slowTimer);
      model.removeEventListener('news', tell);
      for (const { chart } of specs) chart.destroy();
    },
  };
}
