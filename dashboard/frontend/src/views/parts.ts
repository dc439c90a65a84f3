// What several views show.

import type { PaddockEvent } from '../api';
import { h, tame } from '../dom';
import { bytes, milliseconds, time } from '../format';
import type { Range } from './view';

export function stateBadge(state: string): HTMLElement {
  return h('span', { class: `state ${state}` }, state);
}

export function tile(label: string): { root: HTMLElement; set: (value: string, note?: string) => void } {
  const value = h('b', {}, '–');
  const note = h('span', { class: 'note' });
  return {
    root: h('div', { class: 'tile' }, h('span', { class: 'label' }, label), value, note),
    set: (text, more = '') => {
      if (value.textContent !== text) value.textContent = text;
      if (note.textContent !== more) note.textContent = more;
    },
  };
}

export function rangePicker(chosen: (range: Range) => void): HTMLElement {
  const group = h('div', { class: 'ranges', role: 'group', 'aria-label': 'Time range' });
  for (const range of ['live', '1h', '24h', '30d'] as Range[]) {
    const button = h('button', { type: 'button', 'aria-pressed': range === 'live' ? 'true' : 'false' }, range);
    button.addEventListener('click', () => {
      for (const other of group.children) other.setAttribute('aria-pressed', String(other === button));
      chosen(range);
    });
    group.append(button);
  }
  return group;
}

interface Snapshot {
  memory_bytes?: number;
  pids?: number;
  processes?: { pid: number; title: string; state: string; resident_bytes: number; cpu_ms: number }[];
  requests?: { method: string; uri: string; script: string; age_ms: number }[];
}

function snapshotView(json: string): HTMLElement | null {
  let snapshot: Snapshot;
  try {
    snapshot = JSON.parse(json) as Snapshot;
  } catch {
    return null;
  }
  const requests = (snapshot.requests ?? []).slice(0, 20);
  const processes = (snapshot.processes ?? []).slice(0, 20);
  if (requests.length + processes.length === 0) return null;
  return h(
    'details',
    {},
    h('summary', {}, 'What it was doing'),
    requests.length > 0 &&
      h(
        'ul',
        {},
        ...requests.map((request) =>
          h('li', {}, h('code', {}, tame(`${request.method} ${request.uri}`)), ` ${milliseconds(request.age_ms)} `, tame(request.script)),
        ),
      ),
    processes.length > 0 &&
      h(
        'ul',
        {},
        ...processes.map((process) =>
          h('li', {}, h('code', {}, `${process.pid} ${tame(process.title, 120)}`), ` ${bytes(process.resident_bytes)}, ${milliseconds(process.cpu_ms)} of CPU`),
        ),
      ),
  );
}

const GRAVE = new Set(['crash', 'oom-kill', 'kill', 'block', 'freeze', 'login-failed', 'rule-fired', 'corrupt-history', 'events-lost']);

export function eventItem(event: PaddockEvent, withTenant: boolean): HTMLElement {
  return h(
    'li',
    { class: GRAVE.has(event.kind) ? 'event grave' : 'event' },
    h('time', { datetime: new Date(event.time_ms).toISOString() }, time(event.time_ms)),
    h('span', { class: 'kind' }, event.kind),
    withTenant && event.tenant ? h('a', { href: `#/tenants/${encodeURIComponent(event.tenant)}` }, event.tenant) : null,
    h('span', { class: 'text' }, tame([event.text, event.actor && `(${event.actor})`].filter(Boolean).join(' '))),
    event.snapshot ? snapshotView(event.snapshot) : null,
  );
}
