// Drives the showcase in a real browser: node showcase.mjs URL SCREENSHOT_DIR
//
// Every pane draws; a cut connection resumes, a moved one goes on, and by sequence nothing is lost or repeated; the
// echo works both ways; native EventSource, WebSocket and fetch get events; the console stays clean.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [url, screenshots] = process.argv.slice(2);
const transports = ["poll", "long-poll", "sse", "websocket"];
mkdirSync(screenshots, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.REALTIME_CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});

try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 1000 } });
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(url);

  const figure = (pane, name) => page.evaluate(([pane, name]) => window.panes[pane][name], [pane, name]);
  const grows = async (pane, name, by, what) => {
    const from = await figure(pane, name);
    await page
      .waitForFunction(([pane, name, least]) => window.panes[pane][name] >= least, [pane, name, from + by], { timeout: 20_000 })
      .catch(() => assert.fail(`${what}: ${name} of ${pane} did not grow by ${by} from ${from}`));
  };
  const unbroken = async (what) => {
    for (const pane of transports) {
      assert.equal(await figure(pane, "lost"), 0, `${what}: ${pane} lost`);
      assert.equal(await figure(pane, "repeated"), 0, `${what}: ${pane} repeated`);
      assert.equal(await figure(pane, "gaps"), 0, `${what}: ${pane} gaps`);
    }
  };

  for (const pane of transports) {
    await grows(pane, "received", 6, "at the start");
    const drawn = await page.evaluate((pane) => {
      const canvas = document.querySelector(`[data-pane="${pane}"] canvas`);
      const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      // The line of the CPU has a colour; the grid is grey.
      for (let at = 0; at < pixels.length; at += 4) if (pixels[at + 3] > 128 && pixels[at + 2] - pixels[at] > 80) return true;
      return false;
    }, pane);
    assert.ok(drawn, `${pane} draws no line`);
  }
  await unbroken("at the start");

  for (const pane of transports) {
    await page.locator(`[data-pane="${pane}"] [data-role="cut"]`).click();
    await page.waitForFunction((pane) => document.querySelector(`[data-pane="${pane}"] [data-role="state"]`).textContent === "open", pane);
    await grows(pane, "received", 6, "after a cut");
  }
  await unbroken("after the cuts");

  for (const pane of transports) {
    for (const transport of [...transports, pane]) {
      await page.locator(`[data-pane="${pane}"] [data-role="transport"]`).selectOption(transport);
      await grows(pane, "received", 3, `moved to ${transport}`);
    }
  }
  await unbroken("after the moves");

  for (const pane of transports) {
    assert.equal(await page.evaluate((pane) => window.panes[pane].echo(), pane), true, `echo of ${pane}`);
  }

  const native = await page.evaluate(async () => {
    const first = (target, event) =>
      new Promise((resolve, reject) => {
        target.addEventListener(event, ({ data }) => resolve(JSON.parse(data).seq), { once: true });
        setTimeout(() => reject(new Error(`no ${event} in 10 s`)), 10_000);
      });
    const source = new EventSource("/events/sse?offset=last-1");
    const socket = new WebSocket(`ws://${location.host}/events/websocket?offset=last-1`);
    const seen = [await first(source, "figures"), await first(socket, "message")];
    source.close();
    socket.close();
    const { events } = await (await fetch("/events/poll?offset=last-1")).json();
    return [...seen, events[0].data.seq];
  });
  assert.ok(native.every((seq) => seq > 0), `native pieces got ${native}`);

  for (const [width, height] of [[1280, 1000], [390, 844]]) {
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height });
      await page.waitForTimeout(600);
      await page.screenshot({ path: join(screenshots, `showcase-${width}-${colorScheme}.png`), fullPage: true });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${width} px wide, the page is ${overflow} px wider`);
    }
  }
  assert.deepEqual(complaints, [], "the console is clean");
  console.log("the showcase holds");
} finally {
  await browser.close();
}
