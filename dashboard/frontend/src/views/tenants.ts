// The list of tenants: sorted, searched, and smooth with thousands, since only the rows in sight exist.

import { PALETTE, sparkline } from '../charts';
import { h, setText } from '../dom';
import { bytes, decimal } from '../format';
import type { Model, Tenant } from '../model';
import type { View } from './view';

const ROW = 40; // pixels, as style.css has it
const SPARE = 8; // rows beyond the edges

type SortKey = 'name' | 'state' | 'cpu' | 'memory' | 'requests' | 'refused' | 'busy' | 'faults';
const COLUMNS: { key: SortKey; label: string; class: string }[] = [
  { key: 'name', label: 'Tenant', class: 'name' },
  { key: 'state', label: 'State', class: 'statecell' },
  { key: 'cpu', label: 'CPU %', class: 'number' },
  { key: 'memory', label: 'Memory', class: 'number' },
  { key: 'requests', label: 'Req/s', class: 'number' },
  { key: 'refused', label: 'Refused/s', class: 'number wide' },
  { key: 'busy', label: 'Busy', class: 'number wide' },
  { key: 'faults', label: 'Faults', class: 'number wide' },
];

interface RowView {
  root: HTMLTableRowElement;
  name: HTMLAnchorElement;
  spark: HTMLCanvasElement;
  cells: HTMLElement[];
  state: HTMLElement;
}

export function tenantsView(model: Model): View {
  let sort: SortKey = 'cpu';
  let descending = true;
  let query = '';
  let shown: Tenant[] = [];
  const pool: RowView[] = [];

  const search = h('input', { type: 'search', placeholder: 'Search (press /)', 'aria-label': 'Search tenants' });
  const count = h('span', { class: 'muted', role: 'status' });
  const body = h('tbody');
  const above = h('tr', { class: 'spacer', 'aria-hidden': 'true' }, h('td', { colspan: 9 }));
  const below = h('tr', { class: 'spacer', 'aria-hidden': 'true' }, h('td', { colspan: 9 }));
  const headers = COLUMNS.map(({ key, label, class: kind }) => {
    const button = h('button', { type: 'button' }, label);
    const cell = h('th', { scope: 'col', class: kind }, button);
    button.addEventListener('click', () => {
      descending = sort === key ? !descending : key !== 'name' && key !== 'state';
      sort = key;
      refresh();
    });
    return { key, cell };
  });
  const table = h(
    'table',
    { class: 'tenants' },
    h('thead', {}, h('tr', {}, ...headers.map(({ cell }) => cell), h('th', { scope: 'col', class: 'spark' }, 'Recent CPU'))),
    body,
  );
  const scroller = h('div', { class: 'scroller', tabindex: 0, role: 'region', 'aria-label': 'Tenants' }, table);
  const root = h(
    'section',
    { class: 'view tenantsview' },
    h('div', { class: 'head' }, h('h1', {}, 'Tenants'), h('div', { class: 'tools' }, count, search)),
    scroller,
  );

  search.addEventListener('input', () => {
    query = search.value.toLowerCase();
    scroller.scrollTop = 0;
    refresh();
  });
  let drawing = 0;
  scroller.addEventListener('scroll', () => {
    window.cancelAnimationFrame(drawing);
    drawing = window.requestAnimationFrame(draw);
  });
  const resized = new ResizeObserver(() => draw());
  resized.observe(scroller);

  function newRow(): RowView {
    const name = h('a');
    const state = h('span', { class: 'state' });
    const spark = h('canvas', { width: 96, height: 22, 'aria-hidden': 'true' });
    const cells = COLUMNS.slice(2).map((column) => h('td', { class: column.class }));
    const row = h('tr', {}, h('th', { scope: 'row', class: 'name' }, name), h('td', { class: 'statecell' }, state), ...cells, h('td', { class: 'spark' }, spark));
    return { root: row, name, spark, cells, state };
  }

  function paint(view: RowView, tenant: Tenant): void {
    setText(view.name, tenant.name);
    const target = `#/tenants/${encodeURIComponent(tenant.name)}`;
    if (view.name.getAttribute('href') !== target) view.name.setAttribute('href', target);
    setText(view.state, tenant.state);
    view.state.className = `state ${tenant.state}`;
    const texts = [
      decimal(tenant.cpu),
      tenant.memory ? bytes(tenant.memory) : '–',
      decimal(tenant.requests),
      decimal(tenant.refused),
      `${tenant.busy}/${tenant.workersMax}`,
      tenant.faults ? String(tenant.faults) : '–',
    ];
    texts.forEach((text, i) => setText(view.cells[i]!, text));
    view.cells[5]!.classList.toggle('alarm', tenant.faults > 0);
    view.cells[3]!.classList.toggle('alarm', tenant.refused > 0);
    sparkline(view.spark, tenant.history.map((point) => point.cpu), PALETTE[0]!);
  }

  function draw(): void {
    const first = Math.max(0, Math.floor(scroller.scrollTop / ROW) - SPARE);
    const last = Math.min(shown.length, Math.ceil((scroller.scrollTop + scroller.clientHeight) / ROW) + SPARE);
    const needed = Math.max(0, last - first);
    while (pool.length < needed) pool.push(newRow());
    above.style.height = `${first * ROW}px`;
    below.style.height = `${(shown.length - last) * ROW}px`;
    const rows = pool.slice(0, needed);
    rows.forEach((view, i) => {
      paint(view, shown[first + i]!);
      view.root.setAttribute('aria-rowindex', String(first + i + 2));
    });
    const wanted = [above, ...rows.map((view) => view.root), below];
    if (wanted.length !== body.children.length || wanted.some((row, i) => body.children[i] !== row)) body.replaceChildren(...wanted);
  }

  function refresh(): void {
    shown = [...model.tenants.values()].filter((tenant) => tenant.name.toLowerCase().includes(query));
    const sign = descending ? -1 : 1;
    shown.sort((a, b) => {
      const x = a[sort];
      const y = b[sort];
      const order = typeof x === 'string' ? x.localeCompare(y as string) : x - (y as number);
      return order !== 0 ? sign * order : a.name.localeCompare(b.name);
    });
    for (const { key, cell } of headers)
      cell.setAttribute('aria-sort', key === sort ? (descending ? 'descending' : 'ascending') : 'none');
    table.setAttribute('aria-rowcount', String(shown.length + 1));
    setText(count, query ? `${shown.length} of ${model.tenants.size}` : `${model.tenants.size}`);
    draw();
  }

  return { root, refresh, destroy: () => resized.disconnect() };
}
