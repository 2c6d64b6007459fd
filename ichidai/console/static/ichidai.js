/**
 * A client of Ichidai for front ends: register, pair, log in with the question, one session for all tabs, and the
 * notice that it has ended. No dependency; copy this file and the folder `client/` beside it, or import it from the
 * suite's `/console/ichidai.js`.
 *
 *     const ichidai = new Ichidai();
 *     ichidai.onTakeoverQuestion(async ({ message, active }) => confirm(message));
 *     ichidai.onSessionEnded(({ reason, by_device }) => location.assign("/signed-out"));
 *     if (!(await ichidai.resume())) await ichidai.logIn({ username, password });
 *     const response = await ichidai.fetch("/device/list");
 *
 * Every failure is a `Problem`, whose `code` is one of the wire contract's.
 */
import { Devices, latest, setLatest } from "./client/devices.js";
import { Doors } from "./client/doors.js";
import { Session } from "./client/session.js";
import { Vault } from "./client/vault.js";
import { Watcher } from "./client/watch.js";
import { Problem, Wire, answerOf, posting } from "./client/wire.js";

export { Problem };

const OVER = ["session-ended", "invalid-token"];

/**
 * @typedef {{message: string, active: {device_name: string | null, login_at: string, last_seen_at: string}[],
 *   takeover?: {token: string, expires_in: number, url: string}}} Question what a person is asked; without `takeover`
 *   the suite lets nobody switch, and the answer does not matter
 * @typedef {import("./client/session.js").Ending} Ending why a session ended, and where that is known when and by whom
 * @typedef {import("./client/session.js").Facts} Facts who is logged in
 */

export class Ichidai {
  /**
   * @param {object} [options]
   * @param {string} [options.base] the suite's address; the page's own origin where it is not given
   * @param {string} [options.language] of the server's sentences: "en" or "ja"
   * @param {string} [options.issuer] the suite's name in what devices sign; the suite is asked where it is not given
   * @param {boolean} [options.watch] whether the session is watched while it lives
   */
  constructor({ base = "", language = document.documentElement.lang || "en", issuer, watch = true } = {}) {
    const name = `ichidai ${base}`.trim();
    this._wire = new Wire(base, language);
    this._vault = new Vault(name);
    this._devices = new Devices(this._vault);
    this._doors = new Doors(this._wire, this._devices, async () => issuer ?? (await this._about()).issuer);
    this._session = new Session(this._wire, this._vault, name);
    this._watcher = watch ? new Watcher(this._session, name, (signal) => this._events(signal), () => this.check()) : null;
    this._ask = null;
    this.onSessionEnded(() => {});
    this.onSessionBegun(() => {});
  }

  /** Who is logged in, or null. @returns {Facts | null} */
  get session() {
    return this._session.facts;
  }

  /**
   * Let a person be asked when another device is active. Without it `logIn` throws the Problem `device-active`.
   * @param {(question: Question) => Promise<boolean>} ask
   */
  onTakeoverQuestion(ask) {
    this._ask = ask;
  }

  /**
   * Let a person be asked for a code where an account has a second factor; null is a no. Without it, and after a no, a
   * call throws the Problem `otp-required`.
   * @param {(asked: {again: boolean}) => Promise<string | null>} ask `again`: the last code was refused
   */
  onCodeNeeded(ask) {
    this._wire.askForCode = ask;
  }

  /**
   * Be told, in every tab, that the session has ended: elsewhere, or by a logout here (`logged-out`).
   * @param {(ending: Ending) => void} tell
   */
  onSessionEnded(tell) {
    this._session.onEnded = (ending) => {
      this._watcher?.stop();
      tell(ending);
    };
  }

  /**
   * Be told that another tab of this browser has logged in.
   * @param {() => void} tell
   */
  onSessionBegun(tell) {
    this._session.onBegun = () => {
      this._watcher?.start();
      tell();
    };
  }

  /** Take up the session that this browser has; say whether there is one. */
  async resume() {
    const found = await this._session.resume();
    if (found) this._watcher?.start();
    return found;
  }

  /**
   * Make an account with this browser as its first device.
   * @param {{username: string, email: string, password: string, device_name?: string}} fields
   */
  async register(fields) {
    return this._doors.enrol(fields);
  }

  /**
   * Make this browser another device of an account, by the code that one of its devices shows: the text itself, or an
   * address that ends with it.
   * @param {{qr_code: string, username: string, password: string, device_name?: string}} fields
   */
  async pair({ qr_code, ...fields }) {
    return this._doors.enrol({ ...fields, qr_code: qr_code.trim().split("#").pop() });
  }

  /**
   * Ask for a code by which another device joins. This browser's device answers for it.
   * @param {{username?: string, password: string}} fields the username of the session where none is given
   */
  async pairingCode({ username = this.session?.username, password }) {
    const body = { username, password, client_cert_fp: latest() };
    return this._doors.pairingCode(body, await this._devices.having(latest()));
  }

  /**
   * Log in; null when the person was asked and would rather not. Nothing has changed then. Throws Problem.
   * @param {{username: string, password: string, fingerprint?: string}} fields a certificate's fingerprint, where it is
   *   not the one that this browser remembers
   */
  async logIn({ username, password, fingerprint }) {
    const device = fingerprint ? await this._devices.having(fingerprint) : await this._devices.of(username);
    const certificate = fingerprint ?? device?.fingerprint ?? latest();
    const token = certificate ? undefined : await this._devices.tokenOf(username);
    const body = { username, password, client_cert_fp: certificate || undefined, device_token: token };
    const answer = await this._doors.enter(body, device, this._ask);
    if (answer === null) return null;
    if (certificate) setLatest(certificate);
    if (answer.device_token) await this._devices.keepToken(username, answer.device_token);
    await this._session.begin(username, answer);
    this._watcher?.start();
    return answer;
  }

  /** Log out, here and in every tab. */
  async logOut() {
    const access = await this._session.access();
    await this._wire.post("/session/logout", {}, access);
    await this._session.end({ reason: "logged-out" });
  }

  /**
   * Let every tab know that the session is over by something that was done here, such as this device's removal.
   * @param {string} reason
   */
  async leave(reason) {
    await this._session.end({ reason, here: true });
  }

  /** Say which device this browser is for the account that is logged in, or undefined. */
  async device() {
    return this.session ? this._devices.of(this.session.username) : undefined;
  }

  /** Forget a device that was removed from its account. @param {string} fingerprint */
  async forgetDevice(fingerprint) {
    await this._devices.forget(fingerprint);
  }

  /**
   * `fetch` as the person who is logged in. An expired access token is renewed and the request sent again, once; when
   * the session has ended, every tab is told and nothing is tried again. `path` is one of the suite.
   * @param {string} path
   * @param {RequestInit} [init]
   * @returns {Promise<Response>}
   */
  async fetch(path, init = {}) {
    const access = await this._access();
    const response = await this._wire.send(path, init, access);
    const code = await codeOf(response);
    if (code === "token-expired") return this._overOrNot(await this._wire.send(path, init, await this._access(access)));
    return this._overOrNot(response);
  }

  /** GET an answer as the person who is logged in. @param {string} path */
  async get(path) {
    return answerOf(await this.fetch(path));
  }

  /** POST as the person who is logged in. @param {string} path @param {object} [body] */
  async post(path, body = {}) {
    return this._wire.withCode(body, async (whole) => answerOf(await this.fetch(path, posting(whole))));
  }

  /** Ask whether the session lives; when it does not, every tab is told. It does not count as activity. */
  async check() {
    return this.get("/session/list");
  }

  /** An access token; a session that turns out to have ended is ended here as well. */
  async _access(stale = undefined) {
    try {
      return await this._session.access(stale);
    } catch (problem) {
      if (OVER.includes(problem.code)) await this._session.end(endingOf(problem.document));
      throw problem;
    }
  }

  async _overOrNot(response) {
    if (OVER.includes(await codeOf(response))) await this._session.end(endingOf(await response.clone().json()));
    return response;
  }

  /** What the suite tells of itself, asked for once. */
  _about() {
    this._known ??= this._wire.get("/.well-known/ichidai.json").catch((problem) => {
      this._known = null;
      throw problem;
    });
    return this._known;
  }

  /** Open the stream of the session's events, where the suite has one. */
  async _events(signal) {
    const { events_endpoint: address } = await this._about();
    if (!address) return null;
    const access = await this._access();
    return fetch(address, { headers: { Authorization: `Bearer ${access}` }, credentials: "omit", signal });
  }
}

const endingOf = ({ reason = "ended", detail, event_timestamp: at, by_device }) => ({ reason, detail, at, by_device });

/** The code of a 401, without using the response up. */
async function codeOf(response) {
  if (response.status !== 401) return undefined;
  return (await response.clone().json().catch(() => ({}))).code;
}
