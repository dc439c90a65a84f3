// The frame: who is logged in, which view is shown, keys.

import 'uplot/dist/uPlot.min.css';
import './style.css';
import * as api from './api';
import { fill, h, setText } from './dom';
import { Model } from './model';
import { eventsView } from './views/events';
import { loginView } from './views/login';
import { machineView } from './views/machine';
import { rulesView } from './views/rules';
import { tenantView } from './views/tenant';
import { tenantsView } from './views/tenants';
import type { View } from './views/view';

const app = document.getElementById('app')!;
const model = new Model();
let session: api.Session | undefined;
let view: View | undefined;

const THEMES = ['auto', 'light', 'dark'] as const;
function setTheme(theme: string): void {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem('theme', theme);
}
setTheme(localStorage.getItem('theme') ?? 'auto');

const PAGES: [string, string, string][] = [
  ['machine', 'Machine', '1'],
  ['tenants', 'Tenants', '2'],
  ['events', 'Events', '3'],
  ['rules', 'Rules', '4'],
];
const links = PAGES.map(([path, label, key]) => h('a', { href: `#/${path}`, title: `${label} (${key})` }, label));
const live = h('span', { class: 'live', role: 'status' });
const main = h('main', { id: 'main', tabindex: -1 });

function frame(): void {
  const theme = h('button', { type: 'button', class: 'quiet', title: 'Light or dark' });
  const name = (): void => setText(theme, `Theme: ${document.documentElement.dataset.theme}`);
  name();
  theme.addEventListener('click', () => {
    const now = THEMES.indexOf(document.documentElement.dataset.theme as (typeof THEMES)[number]);
    setTheme(THEMES[(now + 1) % THEMES.length]!);
    name();
    view?.refresh();
  });
  const leave = h('button', { type: 'button', class: 'quiet' }, 'Log out');
  leave.addEventListener('click', () => void api.logout().finally(loggedOut));
  fill(
    app,
    h('a', { href: '#main', class: 'skip' }, 'Skip to the content'),
    h(
      'header',
      {},
      h('span', { class: 'brand' }, 'Paddock'),
      session!.role === 'admin' && h('nav', { 'aria-label': 'Views' }, ...links),
      h('span', { class: 'grow' }),
      live,
      theme,
      leave,
    ),
    main,
  );
}

function route(): void {
  if (!session) return;
  const parts = location.hash.replace(/^#\/?/, '').split('/');
  const page = session.role === 'tenant' ? 'tenants' : parts[0] || 'machine';
  const tenant = session.role === 'tenant' ? session.tenant : decodeURIComponent(parts[1] ?? '');
  view?.destroy();
  if (page === 'tenants' && tenant) view = tenantView(model, tenant, session.role === 'admin');
  else if (page === 'tenants') view = tenantsView(model);
  else if (page === 'events') view = eventsView(model);
  else if (page === 'rules') view = rulesView(model);
  else view = machineView(model);
  links.forEach((link, i) => {
    if (PAGES[i]![0] === page) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  });
  fill(main, view.root);
  document.title = `${tenant || PAGES.find(([path]) => path === page)?.[1] || 'Machine'} – Paddock`;
  view.refresh();
}

function tell(): void {
  const ok = model.connected && model.up;
  setText(live, ok ? 'live' : model.connected ? 'no supervisor' : 'connecting');
  live.classList.toggle('lost', !ok);
}

model.addEventListener('change', () => {
  tell();
  view?.refresh();
});

function loggedOut(): void {
  model.close();
  view?.destroy();
  view = undefined;
  session = undefined;
  fill(app, loginView(() => void begin()));
}

async function begin(): Promise<void> {
  try {
    session = await api.session();
  } catch {
    return loggedOut();
  }
  frame();
  model.connect();
  route();
}

window.addEventListener('logged-out', () => {
  if (session) loggedOut();
});
window.addEventListener('hashchange', () => {
  if (session && location.hash !== '#main') {
    route();
    main.focus({ preventScroll: true });
  }
});
window.addEventListener('keydown', (event) => {
  const typing = event.target instanceof HTMLElement && event.target.matches('input, select, textarea');
  if (!session || typing || event.ctrlKey || event.altKey || event.metaKey || document.querySelector('dialog[open]')) return;
  const page = session.role === 'admin' ? PAGES.find(([, , key]) => key === event.key) : undefined;
  if (page) location.hash = `#/${page[0]}`;
  const search = event.key === '/' ? document.querySelector<HTMLInputElement>('input[type=search]') : null;
  if (search) {
    event.preventDefault();
    search.focus();
  }
});

void begin();
