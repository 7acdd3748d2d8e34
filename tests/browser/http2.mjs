// Five WebSockets, an event stream and a page in one tab. The server says whether that was one connection.
//
//   node http2.mjs https://localhost:PORT/ CERTIFICATE.pem
//
// Says `open` when all are, waits for a line while something is published, and says `heard` when each has it.

import { X509Certificate, createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { check, launch, until } from "./browser.mjs";

const [url, certificate] = process.argv.slice(2);
// The certificate was made for this run. It is named to Chromium, and not its errors passed over: those cost a connection.
const spki = new X509Certificate(readFileSync(certificate)).publicKey.export({ type: "spki", format: "der" });
const trusted = createHash("sha256").update(spki).digest("base64");
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const browser = await launch([`--ignore-certificate-errors-spki-list=${trusted}`]);
try {
  const page = await browser.newPage();
  const loaded = await page.goto(url);
  check(loaded.ok(), "the page is there");
  await page.evaluate(() => {
    window.heard = [];
    window.codes = [];
    window.readers = [];
    for (let n = 0; n < 5; n += 1) {
      const socket = new WebSocket("/events", "realtime.v1");
      socket.onmessage = ({ data }) => {
        const { event } = JSON.parse(data);
        (window.heard[n] ??= []).push(event);
      };
      socket.onclose = ({ code }) => window.codes.push(code);
      window.readers.push(socket);
    }
    const stream = new EventSource("/events");
    for (const event of ["$live", "tick"]) {
      stream.addEventListener(event, () => (window.heard[5] ??= []).push(event));
    }
    window.readers.push(stream);
  });
  const all = (event) => () =>
    page.evaluate((event) => {
      const { heard, codes } = window;
      const have = heard.filter((events) => events?.includes(event)).length;
      return have === 6 && codes.length === 0 ? true : { heard, codes };
    }, event);
  await until("all are live", all("$live"));
  const protocols = await page.evaluate(() =>
    performance.getEntriesByType("navigation").map((entry) => entry.nextHopProtocol),
  );
  check(protocols.join() === "h2", `the page came by h2, not by ${protocols}`);
  console.log("open");
  check(!(await lines.next()).done, "the server has published");
  await until("all have heard", all("tick"));
  console.log("heard");
} finally {
  await browser.close();
}
process.exit(0);
