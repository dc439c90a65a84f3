import { defineConfig } from 'vite';

// Relative addresses, so that a reverse proxy may put the pages at any path. Nothing inline: the Content-Security-Policy
// allows no inline script, style or data: URL.
export default defineConfig({
  base: './',
  build: {
    outDir: process.env.PADDOCK_FRONTEND_OUT ?? 'dist',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2022',
    reportCompressedSize: false,
  },
});
