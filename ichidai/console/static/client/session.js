/**
 * The session that all tabs of this browser share. The access token is in memory alone; the refresh token lies sealed
 * in the state store. One tab at a time renews (a Web Lock), and tells the others what it got (a BroadcastChannel).
 */
import { Problem } from "./wire.js";

const RECORD = ["sessions", "current"];
const EARLY_MS = 10_000; // an access token counts as expired this much before it is
const ARRIVAL_MS = 500; // how long to wait for what another tab has fetched
const TRIES = 3; // within the 10 s in which the server gives a lost answer again

/**
 * @typedef {{username: string, user_uuid: string, session_id: string, device_id: string, login_at: string}} Facts
 * @typedef {{reason: string, detail?: string, at?: string, by_device?: string, here?: boolean}} Ending
 *   `here`: by something that was done in this browser
 */

export class Session {
  /**
   * @param {import("./wire.js").Wire} wire
   * @param {import("./state-store.js").StateStore} stateStore
   * @param {string} name what the tabs of one suite know each other by
   */
  constructor(wire, stateStore, name) {
    this._wire = wire;
    this._stateStore = stateStore;
    this._name = name;
    this._access = null;
    this._turn = 0;
    /** @type {Ending | null} how the session is about to end, by what is done here */
    this._expected = null;
    /** @type {Facts | null} who is logged in */
    this.facts = null;
    /** @type {(ending: Ending) => void} */
    this.onEnded = () => {};
    /** @type {() => void} another tab has logged in */
    this.onBegun = () => {};
    this._tabs = new BroadcastChannel(name);
    this._tabs.addEventListener("message", ({ data }) => this._hear(data));
  }

  /** Take up the session that this browser has, if any. It may have ended: the first call shows it. */
  async resume() {
    const record = await this._stateStore.get(...RECORD);
    if (!record || record.session_id === this.facts?.session_id) return this.facts !== null;
    this._adopt(record);
    this._access = null;
    return true;
  }

  /** Begin a session by a login's answer; every tab has it. */
  async begin(username, answer) {
    const { user_uuid, session_id, device_id, login_at } = answer;
    const facts = { username, user_uuid, session_id, device_id, login_at };
    await this._alone(() => this._keep(facts, 0, answer));
    this._tell({ kind: "begun" });
  }

  /**
   * Return an access token that is still good and is not `stale`, renewing it if need be. Throws Problem.
   * @param {string} [stale]
   */
  async access(stale = undefined) {
    const usable = () => this._access && this._access.token !== stale && this._access.until > Date.now();
    if (!usable()) await this._renew(this._access);
    if (!usable()) throw over();
    return this._access.token;
  }

  /**
   * Run what ends the session, and end it in every tab, unless `work` returns false. A stream may tell of the end before
   * `work` is answered; it is this ending all the same. Returns what `work` does, and throws what it throws.
   */
  async endBy(ending, work) {
    this._expected = ending;
    try {
      const done = await work();
      if (done !== false) await this.end(ending);
      return done;
    } finally {
      this._expected = null;
    }
  }

  /** End the session in every tab, and never try to come back. Without an ending, only this browser forgets it. */
  async end(told) {
    const ended = this.facts?.session_id;
    const ending = this._expected ?? told;
    if (!ended) return;
    this._close();
    await this._alone(async () => {
      const record = await this._stateStore.get(...RECORD);
      if (record?.session_id === ended) await this._stateStore.remove(...RECORD);
    });
    this._tell({ kind: "ended", session_id: ended, ending });
    if (await this.resume()) this.onBegun();
    else this.onEnded(ending);
  }

  async _renew(before) {
    await this._alone(async () => {
      const record = await this._stateStore.get(...RECORD);
      if (!record || record.session_id !== this.facts?.session_id) throw over();
      if (this._access !== before) return;
      if (record.turn !== this._turn && (await this._arrival(record.turn))) return;
      const { sealed, turn, ...facts } = record;
      await this._keep(facts, turn + 1, await this._exchanged(await this._stateStore.unseal(sealed)));
      this._tell({ kind: "renewed", session_id: facts.session_id, turn: this._turn, access: this._access });
    });
  }

  /** Keep the tokens that `send` is answered, and what else of the session is other now; no other tab renews meanwhile. */
  exchange(send, changed = {}) {
    return this._alone(async () => {
      const { sealed, turn, ...facts } = await this._stateStore.get(...RECORD);
      await this._keep({ ...facts, ...changed }, turn + 1, await send());
      this._tell({ kind: "renewed", session_id: facts.session_id, turn: this._turn, access: this._access });
    });
  }

  /** Use the refresh token. When no answer comes it is tried again, while the server still gives the same one. */
  async _exchanged(token) {
    for (let tries = 1; ; tries += 1) {
      try {
        return await this._wire.post("/session/refresh", { refresh_token: token });
      } catch (problem) {
        if (tries === TRIES || (problem.status !== 0 && problem.status !== 503)) throw problem;
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
    }
  }

  async _keep(facts, turn, answer) {
    const sealed = await this._stateStore.seal(answer.refresh_token);
    await this._stateStore.put(...RECORD, { ...facts, turn, sealed });
    this._adopt({ ...facts, turn });
    this._access = { token: answer.access_token, until: Date.now() + answer.expires_in * 1000 - EARLY_MS };
  }

  _adopt({ username, user_uuid, session_id, device_id, login_at, turn }) {
    this.facts = { username, user_uuid, session_id, device_id, login_at };
    this._turn = turn;
  }

  _close() {
    this.facts = null;
    this._access = null;
  }

  _hear(message) {
    const isOurs = this.facts !== null && message.session_id === this.facts.session_id;
    if (message.kind === "renewed" && isOurs && message.turn > this._turn) {
      this._access = message.access;
      this._turn = message.turn;
      this._tabs.dispatchEvent(new Event("arrival"));
    } else if (message.kind === "ended" && isOurs) {
      this._close();
      this.onEnded(message.ending);
    } else if (message.kind === "begun") {
      const before = this.facts?.session_id;
      this.resume().then((is) => is && this.facts?.session_id !== before && this.onBegun());
    }
  }

  /** Wait a moment for what the tab that renewed last has sent; say whether it came. */
  _arrival(turn) {
    return new Promise((resolve) => {
      const look = () => {
        if (this._turn >= turn) resolve(true);
      };
      this._tabs.addEventListener("arrival", look);
      setTimeout(() => {
        this._tabs.removeEventListener("arrival", look);
        resolve(this._turn >= turn);
      }, ARRIVAL_MS);
    });
  }

  _tell(message) {
    this._tabs.postMessage(message);
  }

  /** Run something while no other tab does; where the browser has no locks, while nothing else here does. */
  _alone(work) {
    if (globalThis.navigator?.locks) return navigator.locks.request(this._name, work);
    const turn = (this._queue ?? Promise.resolve()).then(work);
    this._queue = turn.catch(() => {});
    return turn;
  }
}

const over = () => new Problem(401, { code: "session-ended", reason: "ended", detail: "This session has ended." });
