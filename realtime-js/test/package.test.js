import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { expect, test } from 'vitest';

const ROOT = new URL('..', import.meta.url).pathname;

/** What a page pays, minified and gzipped. */
const BYTES_MAX = 6_144;

/** What the zlib of another Node may add: the bound is to that of Node 20. */
const ZLIB_BYTES = process.versions.node.startsWith('20.') ? 0 : 48;

/** Copied from the root of the repository when it is packed: their text stands there once. */
const LICENCES = ['LICENSE-APACHE', 'LICENSE-MIT'];

const modules = readdirSync(`${ROOT}src`);

const run = (program, args) => execFileSync(program, args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });

test('a page loads no more than six kibibytes', async () => {
  const options = { bundle: true, minify: true, format: 'esm', target: 'es2022', write: false };
  const { outputFiles } = await build({ entryPoints: [`${ROOT}src/realtime.js`], ...options });
  const size = gzipSync(outputFiles[0].contents, { level: 9 }).length;
  console.log(`realtime-js: ${outputFiles[0].contents.length} bytes minified, ${size} gzipped, of ${BYTES_MAX}`);
  expect(size).toBeLessThanOrEqual(BYTES_MAX + ZLIB_BYTES);
  expect(size).toBeGreaterThan(1_000);
});

test('what is packed is the modules, their types, the words and both licences, and nothing else', () => {
  const folder = mkdtempSync(join(tmpdir(), 'realtime-js-'));
  try {
    const args = ['pack', '--json', '--foreground-scripts=false', '--pack-destination', folder];
    const [{ files, filename }] = JSON.parse(run('npm', args));
    const names = files.map(({ path }) => path);
    console.log(`realtime-js packs:\n  ${names.join('\n  ')}`);
    const types = modules.map((name) => `types/${name.replace('.js', '.d.ts')}`);
    const sources = modules.map((name) => `src/${name}`);
    expect(names.sort()).toEqual(['README.md', 'package.json', ...LICENCES, ...sources, ...types].sort());
    for (const name of LICENCES) {
      const packed = run('tar', ['-xzOf', join(folder, filename), `package/${name}`]);
      expect(packed, name).toBe(readFileSync(`${ROOT}../${name}`, 'utf8'));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('what package.json names is there, and nothing is needed to run', () => {
  const { types, exports, dependencies, sideEffects } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8'));
  for (const file of [types, exports['.'].types, exports['.'].default]) expect(existsSync(ROOT + file), file).toBe(true);
  expect(dependencies).toBeUndefined();
  expect(sideEffects).toBe(false);
  expect(readFileSync(`${ROOT}types/realtime.d.ts`, 'utf8')).toMatch(/send\(data: unknown, options\?: SendOptions\): Promise<any>/);
});

test('every module runs as it is: relative imports, with their extension', () => {
  for (const name of modules) {
    const imports = [...readFileSync(`${ROOT}src/${name}`, 'utf8').matchAll(/^import .* from '(.*)';$/gm)].map(([, from]) => from);
    for (const from of imports) expect(modules.map((module) => `./${module}`), `${name} imports`).toContain(from);
  }
});
