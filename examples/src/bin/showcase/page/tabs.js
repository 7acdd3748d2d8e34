// How many tabs of this page are open. Each holds a shared lock for as long as it lives, so that a tab which crashed
// or sleeps is counted right; a message per tab would come late from one in the background.

const NAME = "realtime-showcase";

export function holdPlace() {
  navigator.locks?.request(NAME, { mode: "shared" }, () => new Promise(() => {}));
}

// Undefined where the browser cannot tell.
export async function count() {
  if (!navigator.locks) return undefined;
  const { held } = await navigator.locks.query();
  return held.filter((lock) => lock.name === NAME).length;
}
