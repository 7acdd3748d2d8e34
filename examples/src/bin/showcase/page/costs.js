// What reading costs, as the server counts it, since this page was opened.

const EVERY_MS = 1500;
const FIGURES = ["requests", "empties", "events", "body_bytes", "head_bytes"];

let first = null;

// Asks again and again; `show` gets a function (pane, transport) -> figures.
export async function watch(show) {
  for (;;) {
    try {
      const response = await fetch("/stats", { cache: "no-store" });
      if (response.ok) {
        const latest = await response.json();
        // Smaller than before: the server is another one.
        if (!first || total(latest) < total(first)) first = restarted(latest);
        const base = first;
        show((pane, transport) => difference(latest[pane][transport], base[pane]?.[transport]));
      }
    } catch {
      // The panes say that the server is away.
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS * (0.9 + Math.random() * 0.2)));
  }
}

const restarted = (latest) => (first ? {} : latest);

const total = (stats) =>
  Object.values(stats).flatMap(Object.values).reduce((sum, { requests }) => sum + requests, 0);

function difference(latest, base) {
  return Object.fromEntries(FIGURES.map((name) => [name, latest[name] - (base?.[name] ?? 0)]));
}
