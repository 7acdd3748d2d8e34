// What polling and long-polling have in common: an answer with a page of events, and the refusals.

export function takePage(pane, page) {
  if (page.gap) pane.take({ id: page.gap.to, event: "$gap", data: page.gap });
  for (const event of page.events) pane.take(event);
  pane.cursor = page.next;
  if (page.upToDate) pane.live(page.next);
}

// 503 says when to come back; after anything else the pane waits as it does after a failure.
export function refused(response) {
  const seconds = Number(response.headers.get("Retry-After"));
  if (response.status === 400) return { failed: "the server does not know this cursor", forget: true };
  return { failed: `the server answered ${response.status}`, wait: seconds ? seconds * 1000 : undefined };
}
