/**
 * The session watcher: learns at once that the session has ended elsewhere.
 *
 * One tab (it holds a Web Lock) reads the server's events and tells the others. While there is no stream it asks every
 * few seconds instead, and every tab asks when somebody comes back to it. None of this counts as activity.
 */
const REOPEN_MS = 250; // before a stream that was open is opened again; each failure doubles it
const AGAIN_MS = 5_000; // at most; so it is the time between questions where there is no stream

export class Watcher {
  /**
   * @param {import("./session.js").Session} session
   * @param {string} name what the tabs know the watch by
   * @param {(signal: AbortSignal) => Promise<Response | null>} open asks for the stream; null where there is none
   * @param {() => Promise<unknown>} check asks whether the session lives, and ends it here when it does not
   */
  constructor(session, name, open, check) {
    this._session = session;
    this._name = name;
    this._open = open;
    this._check = check;
    this._stopping = null;
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
      pause = wasOpen ? REOPEN_MS : Math.min(2 * pause, AGAIN_MS);
      await rest(pause, signal);
    }
  }

  /** Read the stream to its end; say whether there was one. */
  async _listen(signal) {
    const response = await this._open(signal);
    if (!response?.ok || !response.body) return false;
    for await (const { event, data } of eventsOf(response.body)) {
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
