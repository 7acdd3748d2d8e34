// Which transport worked last at a URL: kept for the tab, so that its next page does not find out again.
//
// Nothing is kept, and nothing said of it, where there is no storage, where the page may not use it, and where the URL is a
// function: what is taken of it here a function does not have.

/** @import { Settings, Transport } from './options.js' */

/** @param {Settings} settings */
const key = ({ url }) => `realtime:${/** @type {string} */ (url).split('?')[0]}`;

/** @param {Settings} settings */
export function recall(settings) {
  /** @type {string | null | undefined} */
  let last;
  try {
    last = sessionStorage.getItem(key(settings));
  } catch {}
  return settings.transports.find((transport) => transport === last);
}

/** @param {Settings} settings @param {Transport} transport */
export function remember(settings, transport) {
  try {
    sessionStorage.setItem(key(settings), transport);
  } catch {}
}
