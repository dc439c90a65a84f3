// The abuse rules: what each does, and what it did, or would have done, in the last days.

import * as api from '../api';
import { fill, h, setText, tame } from '../dom';
import { duration, time } from '../format';
import type { Model } from '../model';
import { eventItem } from './parts';
import type { View } from './view';

function consequence(rule: api.Rule): string {
  const plan = rule.plan ? ` to ${rule.plan}` : '';
  const length = rule.duration_s ? ` for ${duration(rule.duration_s)}` : '';
  return `${rule.action}${plan}${length}`;
}

export function rulesView(model: Model): View {
  let last = 0;
  const note = h('p', { class: 'muted', role: 'status' });
  const cards = h('div', { class: 'cards' });
  const list = h('ul', { class: 'events' });
  const root = h(
    'section',
    { class: 'view' },
    h('div', { class: 'head' }, h('h1', {}, 'Abuse rules')),
    note,
    cards,
    h('h2', {}, 'What they found'),
    list,
  );

  function card(rule: api.Rule, fired: api.PaddockEvent[]): HTMLElement {
    const newest = fired.at(-1);
    const tenants = new Set(fired.map((event) => event.tenant)).size;
    const found =
      fired.length === 0
        ? 'Nothing yet'
        : `${fired.length} ${fired.length === 1 ? 'time' : 'times'}, ${tenants} ${tenants === 1 ? 'tenant' : 'tenants'}`;
    return h(
      'article',
      { class: 'card' },
      h('h2', {}, tame(rule.name, 80), h('span', { class: `state ${rule.dry_run ? 'frozen' : 'running'}` }, rule.dry_run ? 'dry run' : 'in force')),
      h('p', {}, h('code', {}, tame(rule.condition, 120)), ` over ${duration(rule.window_s)}`),
      h('p', {}, rule.dry_run ? 'Would ' : 'Will ', h('b', {}, tame(consequence(rule), 120))),
      h('p', { class: 'muted small' }, found, newest ? `, last ${time(newest.time_ms)}: ${tame(newest.tenant, 64)}` : ''),
    );
  }

  async function look(): Promise<void> {
    let report: api.RuleReport;
    try {
      report = await api.rules();
    } catch (failure) {
      setText(note, tame((failure as Error).message));
      return;
    }
    const dry = report.rules.filter((rule) => rule.dry_run).length;
    setText(
      note,
      report.rules.length === 0
        ? 'There are none. paddock.toml(5) says how to make one; begin with dry_run = true.'
        : `${report.rules.length} rules, ${dry} of them on a dry run: those only tell what they would have done. ` +
            `Found since ${time(report.since * 1000)}. What a rule would have done earlier: paddock rules replay.`,
    );
    fill(cards, ...report.rules.map((rule) => card(rule, report.fired.filter((event) => event.actor === `rule ${rule.name}`))));
    fill(list, ...(report.fired.length > 0 ? report.fired.slice(-100).reverse().map((event) => eventItem(event, true)) : [h('li', { class: 'muted' }, 'Nothing yet.')]));
  }

  // Another rule has fired.
  function news(): void {
    const newest = [...model.events].reverse().find((event) => event.kind === 'rule-fired')?.id ?? 0;
    if (newest === last) return;
    last = newest;
    void look();
  }
  model.addEventListener('news', news);
  void look();
  return { root, refresh: () => undefined, destroy: () => model.removeEventListener('news', news) };
}
