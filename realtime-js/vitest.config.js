import { defineConfig } from 'vitest/config';

/** Says the sum as cargo's own tests do, for who adds them all up. */
const sum = {
  onTestRunEnd(modules) {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state) => tests.filter((test) => test.result().state === state).length;
    const failed = count('failed') + modules.filter((module) => module.state() === 'failed' && !module.children.size).length;
    console.log(`test result: ${failed ? 'FAILED' : 'ok'}. ${count('passed')} passed; ${failed} failed`);
  },
};

export default defineConfig({
  test: { include: ['test/*.test.js'], testTimeout: 20_000, reporters: ['default', sum] },
});
