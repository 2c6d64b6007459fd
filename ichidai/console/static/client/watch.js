/**
 * The session watcher: learns at once that the session has ended elsewhere.
 *
 * One tab (it holds a Web Lock) reads the server's events and tells the others. While there is no stream it asks every
 * few seconds instead, and every tab asks when the user returns to it. None of this counts as activity. What the user is
 * asked before a takeover comes the same way, and to every tab.
 */
const REOPEN_MS = 250; // before a stream that was open is opened again; each failure doubles it
const AGAIN_MS = 5_000; // at most; so it is the time between questions where there is no stream

export class Watcher {
  /**
   * @param {import("./session.js").Session} session
   * @param {string} name what the tabs know the watch by
   * @param {object} suite
   * @param {(signal: AbortSignal) => Promise<Response | null>} suite.open asks for the stream; null where there is none
   * @param {() => Promise<unknown>} suite.check asks whether the session lives, and ends it here when it does not
   * @param {() => Promise<import("../ichidai.js").Asked[]>} suite.asked returns what the user is asked now
   * @param {(asked: import("../ichidai.js").Asked, signal: AbortSignal) => void} suite.ask asks the user in this tab
   */
  constructor(session, name, { open, check, asked, ask }) {
    this._session = session;
    this._name = name;
    this._open = open;
    this._check = check;
    this._asked = asked;
    this._ask = ask;
    this._stopping = null;
    /** @type {Map<string, AbortController>} what the user was asked in this tab */
    this._asking = new Map();
    this._tabs = new BroadcastChannel(`${name}-approvals`);
    this._tabs.addEventListener("message", ({ data }) => (data.asked ? this._show(data.asked) : this._hide(data.answered)));
    const look = () => {
      if (this._stopping && document.visibilityState === "visible") check().catch(() => {});
    };
    document.addEventListener("visibilitychange", look);
    addEventListener("focus", look);
    addEventListener("pageshow", look);
  }

  /** Watch the session that has begun, until it ends or `stop`. */
  start() {
    this.stop();
    this._stopping = new AbortController();
    const { signal } = this._stopping;
    const lead = () => this._lead(signal);
    const leading = navigator.locks ? navigator.locks.request(`${this._name}-watch`, { signal }, lead) : lead();
    leading.catch(() => {});
  }

  /** Let the other tabs know that an approval was answered here. @param {string} approval_id */
  answered(approval_id) {
    this._hide(approval_id);
    this._tabs.postMessage({ answered: approval_id });
  }

  _show(asked) {
    if (!this._stopping || this._asking.has(asked.approval_id)) return;
    const over = new AbortController();
    this._asking.set(asked.approval_id, over);
    this._ask(asked, over.signal);
  }

  _hide(approval_id) {
    this._asking.get(approval_id)?.abort();
  }

  /** Ask the user in every tab. */
  _spread(asked) {
    this._show(asked);
    this._tabs.postMessage({ asked });
  }

  /** Ask what the user is asked by now. */
  async _look() {
    for (const asked of await this._asked()) this._spread(asked);
  }

  /** Watch no longer. */
  stop() {
    this._stopping?.abort();
    this._stopping = null;
  }

  async _lead(signal) {
    let pause = REOPEN_MS;
    while (!signal.aborted) {
      const wasOpen = await this._listen(signal).catch(() => false);
      if (signal.aborted) return;
      await this._check().catch(() => {});
      if (!wasOpen && !signal.aborted) await this._look().catch(() => {});
      pause = wasOpen ? REOPEN_MS : Math.min(2 * pause, AGAIN_MS);
      await rest(pause, signal);
    }
  }

  /** Read the stream to its end; say whether there was one. */
  async _listen(signal) {
    const response = await this._open(signal);
    if (!response?.ok || !response.body) return false;
    this._look().catch(() => {});
    for await (const { event, data } of eventsOf(response.body)) {
      if (event === "approval-requested") this._spread(JSON.parse(data));
      if (event === "session-revoked") await this._session.end(endingOf(JSON.parse(data)));
    }
    return true;
  }
}

const endingOf = ({ reason, event_timestamp: at, by_device }) => ({ reason, at, by_device });

/** Yield the events of a stream of Server-Sent Events (WHATWG HTML, 9.2.6); comments, the heartbeat, are left out. */
export async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const data = [...block.matchAll(/^data: ?(.*)$/gm)].map(([, line]) => line).join("\n");
      if (data) yield { event: /^event: ?(.*)$/m.exec(block)?.[1] ?? "message", data };
    }
  }
}

function rest(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
