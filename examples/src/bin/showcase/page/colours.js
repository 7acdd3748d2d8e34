// The page's colours, as the style sheet has them at the moment; and a dash for each transport, for who sees no colours.

const DASHES = { poll: [2, 3], "long-poll": [8, 3], sse: [8, 3, 2, 3], websocket: [] };

export const colour = (element, name) => getComputedStyle(element).getPropertyValue(`--${name}`).trim();

export const dash = (transport) => DASHES[transport];
