// Which transport worked last at a URL: kept for the tab, so that its next page does not find out again.

/** @import { Settings, Transport } from './options.js' */

/** @param {Settings} settings */
const name = ({ url }) => typeof url === 'string' && `realtime:${url.split('?')[0]}`;

/** @param {Settings} settings */
export function recall(settings) {
  const key = name(settings);
  try {
    const last = key && sessionStorage.getItem(key);
    return settings.transports.find((transport) => transport === last);
  } catch {
    return undefined; // there is none, or the page may keep nothing
  }
}

/** @param {Settings} settings @param {Transport} transport */
export function remember(settings, transport) {
  const key = name(settings);
  try {
    if (key) sessionStorage.setItem(key, transport);
  } catch {}
}
