// What the READMEs show for a page, pasted into an empty one as it is printed, in front of an endpoint as they have it.

import { readFileSync } from "node:fs";
import { check, until } from "./browser.mjs";
import { World } from "./world.mjs";

const CLIENT = "realtime-js/README.md";

export const pasted = (control) => ({
  async "the page of the client's README draws events, says its state and warns of a gap"(context) {
    const { here, tab, said } = await paste(context, control, block(CLIENT, "html", "<script"));
    const drawn = (...numbers) => until(`the page shows ${numbers}`, async () => {
      const text = (await tab.textContent("body")).trim();
      return text === numbers.map((n) => JSON.stringify({ n })).join(" ") || text;
    });
    await drawn(6, 7, 8, 9, 10);
    await here.publish(2);
    await drawn(6, 7, 8, 9, 10, 11, 12);
    check((await tab.title()) === "open: websocket", `its title tells the state: ${await tab.title()}`);
    await here.do("kill");
    await until("its title tells that it is away", async () => !(await tab.title()).startsWith("open") || tab.title());
    await here.do("forget");
    await here.do("start");
    await until("it warns", async () => said.some(([word]) => word?.startsWith("lost something (epoch) between ")) || said);
  },

  async "what the client's README does with it sends, moves and loops"(context) {
    const page = block(CLIENT, "html", "<script");
    const more = block(CLIENT, "js", "rt.send");
    check(page.includes("</script>"), "the page has a script to go on with");
    const { here, said } = await paste(context, control, page.replace("</script>", () => `${more}</script>`));
    await hears(said, ["the server says", { echo: { to: "all" }, heard: 1 }]);
    const { heard } = await here.do("seen");
    check(heard.length === 1 && heard[0].event === "hello", `it was heard by its name: ${JSON.stringify(heard)}`);
    await until("it asks by long-poll", async () => {
      const { asked } = await here.do("seen");
      return asked.some(({ transport }) => transport === "long-poll") || asked;
    });
    await here.publish(2);
    await hears(said, ["tick", { n: 11 }]);
    await hears(said, ["tick", { n: 12 }]);
  },

  async "what the client's README shows without the client reads by each transport and is answered"(context) {
    const { here, said } = await paste(context, control, inModule(block(CLIENT, "js", "new EventSource")));
    await hears(said, ["reply", { echo: "hi", heard: 1 }]);
    await until("a page of events comes", async () => said.some(([by]) => by === "long-poll") || said);
    const [, events, next] = said.find(([by]) => by === "long-poll");
    const numbers = events.map(({ data }) => data.n);
    check(numbers.join() === "6,7,8,9,10" && next === events.at(-1).id, `five events and the next place: ${numbers} ${next}`);
    const [id] = await here.publish(1);
    await hears(said, ["sse", { n: 11 }, id]);
    await hears(said, ["websocket", { id, event: "tick", data: { n: 11 } }]);
  },

  async "what the root README shows for a page reads, and is answered"(context) {
    const { here, said } = await paste(context, control, inModule(block("README.md", "js", "new Realtime")));
    await hears(said, ["the server says", { echo: { to: "all" }, heard: 1 }]);
    for (const n of [6, 7, 8, 9, 10]) await hears(said, [{ n }]);
    await here.publish(1);
    await hears(said, [{ n: 11 }]);
    await here.do("kill");
    await here.do("forget");
    await here.do("start");
    await hears(said, ["lost something:", "epoch"]);
  },
});

// The one block of a language in a README of the project that holds a text.
function block(readme, language, text) {
  const whole = readFileSync(new URL(`../../${readme}`, import.meta.url), "utf8");
  const blocks = [...whole.matchAll(/^```(\w+)\n(.*?)^```$/gms)].filter(([, is, code]) => is === language && code.includes(text));
  check(blocks.length === 1, `${readme} has one block of ${language} with ${text}: ${blocks.length}`);
  return blocks[0][2];
}

const inModule = (code) => `<!doctype html>\n<script type="module">\n${code}</script>\n`;

// A world with ten events and this page, and what the page says to its console.
async function paste(context, control, page) {
  const here = await World.of(control, { page });
  await here.publish(10);
  const tab = await context.newPage();
  const said = [];
  tab.on("console", (message) => {
    // A page that is closed meanwhile says no more.
    Promise.all(message.args().map((arg) => arg.jsonValue())).then((words) => said.push(words), () => {});
  });
  tab.on("pageerror", (error) => said.push([`uncaught: ${error}`]));
  await tab.goto(here.url);
  return { here, tab, said };
}

async function hears(said, line) {
  const text = JSON.stringify(line);
  await until(`the console has ${text}`, () => said.some((one) => JSON.stringify(one) === text) || said);
  check(!said.some(([word]) => String(word).startsWith("uncaught")), `and nothing is thrown: ${JSON.stringify(said)}`);
}
