// One scenario in Chromium: node run.js SCENARIO, its arguments as JSON on standard input, its findings as JSON on
// standard output. test_dashboard_browser.py calls it, and says what is expected.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const modules = process.env.PADDOCK_BROWSER_MODULES;
const require = createRequire(path.join(modules, 'package.json'));
const { chromium } = require('playwright-core');
const axeSource = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const given = JSON.parse(fs.readFileSync(0, 'utf8'));
const patience = (given.slowness ?? 1) * 15_000;
const found = { violations: [], errors: [], outside: [], dialogs: [], axe: [], charts: [] };

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--force-color-profile=srgb'],
});

async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1366, height: 860 }, bypassCSP: false, ...options });
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) =>
      console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile ?? ''}`),
    );
  });
  page.on('console', (message) => {
    const text = message.text();
    if (text.startsWith('CSP:') || text.includes('Content Security Policy')) found.violations.push(text);
    // A wrong token, or the first look at whether somebody is logged in.
    else if (message.type() === 'error' && !text.includes('401')) found.errors.push(text);
  });
  page.on('pageerror', (error) => found.errors.push(String(error)));
  page.on('dialog', (dialog) => {
    found.dialogs.push(dialog.message());
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(given.url)) found.outside.push(request.url());
  });
  await page.goto(given.url);
  return page;
}

async function logIn(page) {
  await page.getByLabel('Admin token').fill(given.token);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { name: 'Machine' }).waitFor();
}

async function go(page, hash, heading) {
  await page.evaluate((to) => (location.hash = to), hash);
  await page.getByRole('heading', { name: heading, exact: false }).first().waitFor();
}

async function shot(page, name) {
  await page.screenshot({ path: path.join(given.out, `${name}.png`) });
}

// axe's script comes in by the browser's own door, so that the page's policy need not allow it.
async function axe(page, name) {
  await page.evaluate(axeSource);
  const result = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  for (const violation of result.violations)
    found.axe.push(`${name}: ${violation.id}: ${violation.nodes.map((node) => node.html.slice(0, 120) + ' ' + node.failureSummary).join(' | ')}`);
}

// Of each chart, how many colours are drawn: 1 is an empty canvas.
async function chartColours(page, name) {
  const counts = await page.evaluate(() =>
    [...document.querySelectorAll('.u-wrap canvas')].map((canvas) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const colours = new Set();
      for (let i = 0; i < data.length; i += 4) colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
      return colours.size;
    }),
  );
  for (const colours of counts) found.charts.push([name, colours]);
  return counts.length;
}

// What hostile text has done to the page: elements that are none of ours, scripts that ran, a page that is too wide.
async function harm(page) {
  found.injected = await page.evaluate(() => document.querySelectorAll('#app img, #app script, #app iframe, #app b > b').length);
  found.ran = await page.evaluate(() => globalThis.ran ?? 0);
  found.wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
}

const legend = (page) =>
  page.evaluate(() => Object.fromEntries([...document.querySelectorAll('.chart')].map((chart) => [
    chart.querySelector('h2').textContent,
    Object.fromEntries([...chart.querySelectorAll('.legend li')].map((item) => [item.querySelector('.name').textContent, item.querySelector('b').textContent])),
  ])));

const scenarios = {
  // Every view, light and dark, wide and narrow.
  async views() {
    const page = await open();
    await axe(page, 'login');
    await shot(page, 'login');
    await page.getByLabel('Admin token').fill('wrong');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByText('the token is wrong').waitFor();
    found.wrong = { stayed: await page.getByLabel('Admin token').isVisible(), empty: (await page.getByLabel('Admin token').inputValue()) === '' };
    await logIn(page);
    await page.waitForFunction(() => document.querySelectorAll('.legend li').length >= 3);
    await page.waitForTimeout(given.settle);
    for (const scheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme: scheme });
      for (const [hash, heading, name] of [
        ['#/machine', 'Machine', 'machine'],
        ['#/tenants', 'Tenants', 'tenants'],
        [`#/tenants/${given.tenant}`, given.tenant, 'tenant'],
        ['#/events', 'Events', 'events'],
        ['#/rules', 'Abuse rules', 'rules'],
      ]) {
        await go(page, hash, heading);
        await page.waitForTimeout(700);
        await chartColours(page, `${name} ${scheme}`);
        await axe(page, `${name} ${scheme}`);
        await page.screenshot({ path: path.join(given.out, `${name}-${scheme}.png`), fullPage: name === 'tenant' });
      }
    }
    for (const range of ['1h', '24h', '30d']) {
      await go(page, '#/machine', 'Machine');
      await page.getByRole('button', { name: range }).click();
      await page.getByText(/Averages of each|Nobody has used/).waitFor();
    }
    await shot(page, 'machine-30d-dark');
    await go(page, `#/tenants/${given.tenant}`, given.tenant);
    await page.getByRole('button', { name: '1h' }).click();
    await page.getByText('Averages of each minute').waitFor();
    await page.getByRole('button', { name: 'Block', exact: true }).click();
    await axe(page, 'dialog');
    await shot(page, 'dialog-dark');
    await page.keyboard.press('Escape');
    // A phone: nothing is wider than it.
    await page.emulateMedia({ colorScheme: 'light' });
    await page.setViewportSize({ width: 390, height: 780 });
    found.overflow = [];
    for (const [hash, heading, name] of [
      ['#/machine', 'Machine', 'machine'],
      ['#/tenants', 'Tenants', 'tenants'],
      [`#/tenants/${given.tenant}`, given.tenant, 'tenant'],
      ['#/events', 'Events', 'events'],
      ['#/rules', 'Abuse rules', 'rules'],
    ]) {
      await go(page, hash, heading);
      await page.waitForTimeout(500);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      if (wide > 0) found.overflow.push([name, wide]);
      await shot(page, `${name}-phone`);
    }
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Admin token').waitFor();
    found.loggedOut = await page.evaluate(async () => (await fetch('api/session')).status);
  },

  // The figures of a tenant that is under load.
  async live() {
    const page = await open();
    await logIn(page);
    const seen = new Set();
    const end = Date.now() + patience;
    while (seen.size < 3 && Date.now() < end) {
      const value = (await legend(page))['Requests by tenant']?.[given.tenant];
      if (value && value !== '0/s') seen.add(value);
      await page.waitForTimeout(300);
    }
    found.values = [...seen];
    await go(page, `#/tenants/${given.tenant}`, given.tenant);
    await page.locator('.requests tbody tr td.long').first().waitFor();
    found.request = await page.locator('.requests tbody tr').first().innerText();
  },

  async kill() {
    const page = await open();
    await logIn(page);
    await go(page, `#/tenants/${given.tenant}`, given.tenant);
    await page.getByRole('button', { name: 'Kill', exact: true }).click();
    const dialog = page.getByRole('dialog');
    await dialog.waitFor();
    found.question = await dialog.innerText();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await dialog.waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Kill', exact: true }).click();
    await page.getByRole('button', { name: 'Kill now' }).click();
    await page.getByText(`kill ${given.tenant}: done`).waitFor();
  },

  // To another plan's limits and back, with a reason to be seen; then the session ends under the page.
  async throttle() {
    const page = await open();
    await logIn(page);
    await go(page, `#/tenants/${given.tenant}`, given.tenant);
    await page.getByRole('button', { name: 'Throttle', exact: true }).click();
    const dialog = page.getByRole('dialog');
    await dialog.waitFor();
    found.question = await dialog.innerText();
    await dialog.getByLabel('Plan whose limits hold').selectOption(given.plan);
    await dialog.getByLabel('How long').selectOption({ label: 'for 1 hour' });
    await axe(page, 'throttle');
    await dialog.getByRole('button', { name: 'Throttle' }).click();
    await page.getByText(`throttle ${given.tenant}: done`).waitFor();
    await page.getByText(`throttled to ${given.plan} until`).waitFor();
    await page.getByRole('button', { name: 'Unthrottle', exact: true }).click();
    await dialog.getByRole('button', { name: 'Unthrottle' }).click();
    await page.getByRole('button', { name: 'Throttle', exact: true }).waitFor();
  },

  async rules() {
    const page = await open();
    await logIn(page);
    await go(page, '#/rules', 'Abuse rules');
    await page.locator('.card').first().waitFor();
    await page.locator('.events .event').first().waitFor();
    found.cards = await page.locator('.cards').innerText();
    found.fired = await page.locator('.events').innerText();
    await axe(page, 'rules with findings');
    await shot(page, 'rules-found');
  },

  // Where a slow request stood.
  async slow() {
    const page = await open();
    await logIn(page);
    await go(page, `#/tenants/${given.tenant}`, given.tenant);
    await page.getByRole('heading', { name: 'Slow requests' }).waitFor();
    const opened = page.getByText('Where it was');
    for (let i = 0; i < (await opened.count()); i++) await opened.nth(i).click();
    found.trace = (await page.locator('.event:has(ol)').allInnerTexts()).join('\n');
    await axe(page, 'slow requests');
    await page.screenshot({ path: path.join(given.out, `${given.picture}.png`), fullPage: true });
    await harm(page);
  },

  // Somebody else has ended the session: the next look is answered by 401, and the page asks for the token.
  async expired() {
    const page = await open();
    await logIn(page);
    await go(page, `#/tenants/${given.tenant}`, given.tenant);
    const cookies = await page.context().cookies();
    await page.evaluate(async () => {
      const { csrf } = await (await fetch('api/session')).json();
      await fetch('api/logout', { method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Paddock-CSRF': csrf }, body: '{}' });
    });
    await page.getByLabel('Admin token').waitFor();
    // With the cookie of that session again, as a browser that was asleep has it.
    await page.context().addCookies(cookies);
    found.status = await page.evaluate(async () => (await fetch('api/overview')).status);
    await page.reload();
    await page.getByLabel('Admin token').waitFor();
    found.address = await page.evaluate(() => location.hash);
    await page.getByLabel('Admin token').fill(given.token);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('heading', { name: given.tenant }).waitFor();
  },

  // Without a mouse, from the login to a question and back.
  async keyboard() {
    const page = await open();
    await page.waitForFunction(() => document.activeElement?.id === 'token');
    await page.keyboard.type(given.token);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Machine' }).waitFor();
    await page.keyboard.press('2');
    await page.getByRole('heading', { name: 'Tenants' }).waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type(given.tenant);
    const focused = () => page.evaluate(() => {
      const element = document.activeElement;
      const style = getComputedStyle(element);
      return { text: element.textContent.trim(), outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 };
    });
    const reach = async (text) => {
      for (let i = 0; i < 60; i++) {
        await page.keyboard.press('Tab');
        const now = await focused();
        if (!now.outline) found.errors.push(`the focus on "${now.text.slice(0, 40)}" cannot be seen`);
        if (now.text === text) return;
      }
      throw new Error(`Tab does not reach "${text}"`);
    };
    await reach(given.tenant);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: given.tenant }).waitFor();
    await reach('Block');
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog');
    await dialog.waitFor();
    found.inDialog = await page.evaluate(() => document.querySelector('dialog').contains(document.activeElement));
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    found.back = (await focused()).text;
    await page.keyboard.press('3');
    await page.getByRole('heading', { name: 'Events' }).waitFor();
  },

  // Names that want to be markup are text.
  async hostile() {
    const page = await open();
    await logIn(page);
    await go(page, `#/tenants/${given.tenant}`, given.tenant);
    await page.locator('.requests tbody tr td.long').first().waitFor();
    found.request = await page.locator('.requests tbody tr').first().innerText();
    found.reason = await page.locator('.why').innerText().catch(() => '');
    await page.screenshot({ path: path.join(given.out, 'hostile.png'), fullPage: true });
    await go(page, '#/events', 'Events');
    await page.locator('.event').first().waitFor();
    found.events = await page.locator('.events').innerText();
    await harm(page);
  },

  // A thousand tenants: only those in sight are elements, and scrolling shows the others.
  async thousand() {
    const page = await open();
    await logIn(page);
    await go(page, '#/tenants', 'Tenants');
    await page.getByText('1000', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Tenant', exact: true }).click();
    await page.getByRole('link', { name: 't0000' }).waitFor();
    found.rows = await page.locator('.tenants tbody tr').count();
    found.drawing = await page.evaluate(async () => {
      const scroller = document.querySelector('.scroller');
      const times = [];
      for (let i = 0; i < 60; i++) {
        const start = performance.now();
        scroller.scrollTop += 650;
        await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
        times.push(performance.now() - start);
      }
      scroller.scrollTop = scroller.scrollHeight;
      return Math.round(times.sort((a, b) => a - b)[30]);
    });
    await page.getByRole('link', { name: 't0999' }).waitFor();
    await page.waitForTimeout(5000); // two refreshes
    found.stayed = await page.evaluate(() => document.querySelector('.scroller').scrollTop > 30_000);
    await shot(page, 'tenants-1000');
    await page.getByRole('searchbox').fill('t0500');
    await page.getByRole('link', { name: 't0500' }).waitFor();
    found.matching = await page.locator('.tenants tbody th').count();
  },

  // A tenant by the link that the admin has sent.
  async link() {
    given.url = given.url.replace(/#.*/, '');
    const page = await open();
    await page.goto('about:blank');
    await page.goto(given.link);
    await page.getByRole('heading', { name: given.tenant }).waitFor();
    found.hash = await page.evaluate(() => location.hash);
    found.buttons = await page.locator('.actions button:visible').count();
    found.navigation = await page.locator('nav').count();
    await page.waitForTimeout(500);
    await axe(page, 'tenant view');
    await shot(page, 'link');
  },
};

try {
  await scenarios[process.argv[2]]();
} catch (error) {
  found.failed = String(error);
  for (const context of browser.contexts())
    for (const page of context.pages()) await page.screenshot({ path: path.join(given.out, `failed-${process.argv[2]}.png`) }).catch(() => {});
} finally {
  await browser.close();
}
console.log(JSON.stringify(found));
