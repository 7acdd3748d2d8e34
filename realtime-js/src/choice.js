// Which transport worked last: kept for the tab, so that the next page of it does not find out again.

/** @import { Transport } from './options.js' */

/** @param {string} url */
const name = (url) => `realtime:${url.split('?')[0]}`;

/** @param {string} url @returns {Transport | null} */
export function recall(url) {
  try {
    return /** @type {Transport | null} */ (globalThis.sessionStorage?.getItem(name(url)));
  } catch {
    return null; // a page may be forbidden to keep anything
  }
}

/** @param {string} url @param {Transport} transport */
export function remember(url, transport) {
  try {
    globalThis.sessionStorage?.setItem(name(url), transport);
  } catch {}
}
