// How far the server's clock is from ours, as NTP finds out: the server's time against the middle of a round trip.
// The shortest of the last round trips is the most exact.

const KEPT = 16;
const samples = [];

export const now = () => performance.timeOrigin + performance.now();

export const serverNow = () => now() + offset();

export const offset = () => best()?.offset ?? 0;

// Half of the shortest round trip: the offset is right up to this.
export const uncertainty = () => (best() ? best().trip / 2 : undefined);

export function sample(t0, server, t1) {
  samples.push({ trip: t1 - t0, offset: server - (t0 + t1) / 2 });
  if (samples.length > KEPT) samples.shift();
}

const best = () => samples.reduce((best, next) => (best && best.trip <= next.trip ? best : next), undefined);
