// Tabs that can really be hidden and frozen. Playwright makes every page believe that it is looked at, so these are
// none of its pages: they live in a context of their own, in one window, and are spoken to by the protocol beneath.

import { until } from "./browser.mjs";

export class Tabs {
  static async of(browser) {
    const session = await browser.newBrowserCDPSession();
    const { browserContextId } = await session.send("Target.createBrowserContext");
    return new Tabs(session, browserContextId);
  }

  constructor(session, browserContextId) {
    Object.assign(this, { session, browserContextId });
  }

  // A tab in front of the others, with a module of ours as `open` of world.mjs has it.
  async open(world, module) {
    const { session, browserContextId } = this;
    const { targetId } = await session.send("Target.createTarget", { url: world.url, browserContextId });
    const { sessionId } = await session.send("Target.attachToTarget", { targetId });
    const tab = new Tab(session, targetId, sessionId);
    // It begins as an empty page.
    await until("the tab is there", () => {
      return tab.evaluate((url) => location.href.startsWith(url) && document.readyState === "complete", world.url);
    });
    await tab.evaluate(async (module) => { window.ours = await import(module); window.held = {}; }, module);
    return tab;
  }

  close() {
    return this.session.send("Target.disposeBrowserContext", { browserContextId: this.browserContextId });
  }
}

class Tab {
  #last = 0;
  #waiting = new Map();

  constructor(session, targetId, sessionId) {
    Object.assign(this, { session, targetId, sessionId });
    session.on("Target.receivedMessageFromTarget", (said) => {
      if (said.sessionId !== sessionId) return;
      const { id, result, error } = JSON.parse(said.message);
      this.#waiting.get(id)?.({ result, error });
      this.#waiting.delete(id);
    });
  }

  async send(method, params = {}) {
    const id = this.#last += 1;
    const answer = new Promise((done) => this.#waiting.set(id, done));
    const message = JSON.stringify({ id, method, params });
    await this.session.send("Target.sendMessageToTarget", { sessionId: this.sessionId, message });
    const { result, error } = await answer;
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  // As playwright's, with one argument that is JSON.
  async evaluate(run, argument) {
    const expression = `(${run})(${JSON.stringify(argument) ?? ""})`;
    const said = await this.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (said.exceptionDetails) throw new Error(said.exceptionDetails.exception?.description ?? said.exceptionDetails.text);
    return said.result.value;
  }

  // Brings it to the front; whichever tab was there is hidden.
  show() {
    return this.session.send("Target.activateTarget", { targetId: this.targetId });
  }

  // As a browser does to save power: not a timer runs.
  freeze() {
    return this.send("Page.setWebLifecycleState", { state: "frozen" });
  }

  thaw() {
    return this.send("Page.setWebLifecycleState", { state: "active" });
  }
}
