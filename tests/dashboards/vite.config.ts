import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  base: './',
  plugins: [react()],
  build: {
    outDir: 'build',
    chunkSizeWarningLimit: 100_000, // Grafana's components are what they are; nobody downloads this page.
    reportCompressedSize: false,
  },
});
