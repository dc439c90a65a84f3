// Questions before something is done, and what came of it.

import * as api from './api';
import { fill, h, tame } from './dom';

let toastTimer: number | undefined;

export function toast(text: string, bad = false): void {
  let box = document.getElementById('toast');
  if (!box) {
    box = h('div', { id: 'toast', role: 'status' });
    document.body.append(box);
  }
  box.className = bad ? 'bad' : 'good';
  box.textContent = tame(text);
  window.clearTimeout(toastTimer);
  toastTimer = window.setTimeout(() => box.remove(), 6000);
}

interface Wording {
  title: string;
  text: string;
  button: string;
  danger: boolean;
}
const WORDING: Record<api.Verb, Wording> = {
  start: { title: 'Start', text: 'A sandbox starts before the first request would.', button: 'Start', danger: false },
  stop: {
    title: 'Stop',
    text: 'Running requests may finish. The next request starts the sandbox again.',
    button: 'Stop',
    danger: false,
  },
  restart: { title: 'Restart', text: 'Running requests may finish first.', button: 'Restart', danger: false },
  kill: {
    title: 'Kill',
    text: 'All processes end at once; running requests fail. The next request starts the sandbox again.',
    button: 'Kill now',
    danger: true,
  },
  freeze: {
    title: 'Freeze',
    text: 'All processes halt where they are. Requests are refused until it is thawed.',
    button: 'Freeze',
    danger: true,
  },
  thaw: { title: 'Thaw', text: 'Its processes go on.', button: 'Thaw', danger: false },
  block: {
    title: 'Block',
    text: 'All processes end at once, and every request is refused, over restarts too.',
    button: 'Block',
    danger: true,
  },
  throttle: {
    title: 'Throttle',
    text: 'It is held to the limits of another plan, over restarts too. Nothing is ended.',
    button: 'Throttle',
    danger: true,
  },
  unthrottle: { title: 'Unthrottle', text: "Its own plan's limits hold again.", button: 'Unthrottle', danger: false },
  unblock: { title: 'Unblock', text: 'Its requests are served again.', button: 'Unblock', danger: false },
};

const ENDS: [string, number][] = [
  ['until an admin ends it', 0],
  ['for 1 hour', 3600],
  ['for 1 day', 86400],
  ['for 7 days', 7 * 86400],
];

// Asks, and does it. Resolves when the dialog has closed. plans: to throttle to.
export function confirmAction(tenant: string, verb: api.Verb, plans: string[] = []): Promise<void> {
  const wording = WORDING[verb];
  const title = h('h2', { id: 'dialog-title' }, `${wording.title} ${tenant}?`);
  const reason = h('input', { type: 'text', required: true, maxlength: 500, autocomplete: 'off' });
  const plan = h('select', {}, ...plans.map((name) => h('option', { value: name }, name)));
  const lasts = verb === 'block' || verb === 'throttle';
  const end = h('select', {}, ...ENDS.map(([label, seconds]) => h('option', { value: seconds }, label)));
  const problem = h('p', { class: 'problem', role: 'alert' });
  const go = h('button', { type: 'submit', class: wording.danger ? 'danger' : 'primary' }, wording.button);
  const cancel = h('button', { type: 'button' }, 'Cancel');
  const form = h(
    'form',
    { method: 'dialog' },
    title,
    h('p', {}, wording.text),
    verb === 'block' && h('label', {}, 'Reason, shown in status and kept in the events', reason),
    verb === 'throttle' && h('label', {}, "Plan whose limits hold", plan),
    lasts && h('label', {}, 'How long', end),
    problem,
    h('div', { class: 'buttons' }, cancel, go),
  );
  const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' }, form);
  document.body.append(dialog);
  cancel.addEventListener('click', () => dialog.close());
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const seconds = Number(end.value);
    const body = {
      ...(verb === 'block' ? { reason: reason.value } : {}),
      ...(verb === 'throttle' ? { plan: plan.value } : {}),
      ...(lasts && seconds ? { until: Math.floor(Date.now() / 1000) + seconds } : {}),
    };
    go.disabled = true;
    fill(problem);
    api
      .act(tenant, verb, body)
      .then(() => {
        toast(`${verb} ${tenant}: done`);
        dialog.close();
      })
      .catch((failure: Error) => {
        problem.textContent = tame(failure.message);
        go.disabled = false;
      });
  });
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve();
    });
    dialog.showModal();
    (verb === 'block' ? reason : verb === 'throttle' ? plan : cancel).focus();
  });
}
