import * as api from '../api';
import { h, tame } from '../dom';

export function loginView(done: () => void): HTMLElement {
  const token = h('input', {
    id: 'token',
    type: 'password',
    autocomplete: 'current-password',
    required: true,
    spellcheck: 'false',
  });
  const problem = h('p', { class: 'problem', role: 'alert' });
  const button = h('button', { type: 'submit', class: 'primary' }, 'Log in');
  const attempt = (secret: string): void => {
    button.disabled = true;
    problem.textContent = '';
    api
      .login(secret)
      .then(done)
      .catch((failure: Error) => {
        problem.textContent = tame(failure.message);
        token.value = '';
        token.focus();
      })
      .finally(() => (button.disabled = false));
  };
  const form = h(
    'form',
    {
      onsubmit: (event: Event) => {
        event.preventDefault();
        attempt(token.value.trim());
      },
    },
    h('h1', {}, 'Paddock'),
    h('p', { class: 'muted' }, 'Who eats what on this machine.'),
    h('label', { for: 'token' }, 'Admin token'),
    token,
    problem,
    button,
    h('p', { class: 'muted small' }, 'An administrator makes one with ', h('code', {}, 'paddock token'), '.'),
  );
  // A tenant's link carries its code behind the #, which no server's log sees. It is used up at once.
  const link = /^#link=([0-9a-f]{64})$/.exec(location.hash);
  if (link?.[1]) {
    history.replaceState(null, '', location.pathname);
    attempt(link[1]);
  }
  window.setTimeout(() => token.focus());
  return h('main', { class: 'login' }, form);
}
