// What befell tenants and what was done to them, as it happens.

import { fill, h, setText } from '../dom';
import type { Model } from '../model';
import { eventItem } from './parts';
import type { View } from './view';

const GROUPS: Record<string, (kind: string) => boolean> = {
  all: () => true,
  faults: (kind) => ['crash', 'oom-kill', 'corrupt-history', 'events-lost'].includes(kind) || kind.startsWith('limit-'),
  actions: (kind) => ['block', 'unblock', 'kill', 'freeze', 'thaw', 'throttle', 'unthrottle', 'link'].includes(kind),
  rules: (kind) => ['rule-fired', 'throttle', 'unthrottle'].includes(kind),
  logins: (kind) => kind.startsWith('login'),
};

export function eventsView(model: Model): View {
  let group = 'all';
  let seen = -1;
  const list = h('ul', { class: 'events' });
  const count = h('span', { class: 'muted', role: 'status' });
  const picker = h('div', { class: 'ranges', role: 'group', 'aria-label': 'Kinds of events' });
  for (const name of Object.keys(GROUPS)) {
    const button = h('button', { type: 'button', 'aria-pressed': String(name === group) }, name);
    button.addEventListener('click', () => {
      group = name;
      for (const other of picker.children) other.setAttribute('aria-pressed', String(other === button));
      seen = -1;
      refresh();
    });
    picker.append(button);
  }
  const root = h('section', { class: 'view' }, h('div', { class: 'head' }, h('h1', {}, 'Events'), h('div', { class: 'tools' }, count, picker)), list);

  function refresh(): void {
    const last = model.events.at(-1)?.id ?? 0;
    if (last === seen) return;
    seen = last;
    const shown = model.events.filter((event) => GROUPS[group]!(event.kind));
    setText(count, String(shown.length));
    fill(list, ...(shown.length > 0 ? shown.slice(-200).reverse().map((event) => eventItem(event, true)) : [h('li', { class: 'muted' }, 'None yet.')]));
  }
  model.addEventListener('news', refresh);
  return { root, refresh, destroy: () => model.removeEventListener('news', refresh) };
}
