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
import { Endpoints } from "./client/endpoints.js";
import { codeIn } from "./client/keys.js";
import { Session } from "./client/session.js";
import { StateStore } from "./client/state-store.js";
import { Problem, Wire, answerOf, posting } from "./client/wire.js";

export { Problem, codeIn };

const OVER = ["session-ended", "invalid-token"];

/**
 * @typedef {{message: string, active: {device_name: string | null, login_at: string, last_seen_at: string}[],
 *   takeover?: {token: string, expires_in: number, url: string},
 *   approval?: {token: string, expires_in: number, url: string}}} Question what a person is asked; with `approval` it
 *   is whether the active devices' users shall be asked; without `takeover` and `approval` nobody can switch
 * @typedef {{approval_id: string, device_name: string | null, asked_at: string, expires_in: number, joins: boolean}} Asked
 *   a device that wants the place of this one, or `joins`
 * @typedef {import("./client/session.js").Ending} Ending why a session ended, and where that is known when and by whom
 * @typedef {import("./client/session.js").Facts} Facts who is logged in
 */

export class Ichidai {
  /**
   * @param {object} [options]
   * @param {string} [options.base] the suite's address; the page's own origin where it is not given
   * @param {Record<string, string>} [options.apps] the addresses of the apps that have their own: `registration`,
   *   `login`, `session`, `device`
   * @param {string} [options.language] of the server's sentences: "en" or "ja"
   * @param {string} [options.issuer] the suite's name in what devices sign; the suite is asked where it is not given
   * @param {boolean} [options.watch] whether the session is watched while it lives
   */
  constructor({ base = "", apps = {}, language = document.documentElement.lang || "en", issuer, watch = true } = {}) {
    const name = `ichidai ${base}`.trim();
    this._wire = new Wire(base, language, apps);
    this._stateStore = new StateStore(name);
    this._devices = new Devices(this._stateStore);
    this._endpoints = new Endpoints(this._wire, this._devices, async () => issuer ?? (await this._about()).issuer);
    this._session = new Session(this._wire, this._stateStore, name);
    this._watchedAs = watch ? name : null;
    this._watcher = null; // loaded with the first session
    this._ask = null;
    this._askApproval = null;
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
   * Let a person see the digits to be typed on the active device. Without it `logIn` throws `device-active` there.
   * @param {(waiting: {digits: string, expires_in: number}, signal: AbortSignal) => Promise<unknown>} show resolves when
   *   the person would rather not wait; `signal` is aborted when that is over
   */
  onDigits(show) {
    this._endpoints.showDigits = show;
  }

  /**
   * Let a person be asked, in every tab, what `answerApproval` answers. `signal` is aborted when another tab did.
   * @param {(asked: Asked, signal: AbortSignal) => void} ask
   */
  onApprovalAsked(ask) {
    this._askApproval = ask;
    if (this.session) this._watch();
  }

  /**
   * Let the other device in by the digits that it shows, or refuse it. Throws Problem: `digits-wrong`, `approval-spent`.
   * @param {string} approval_id @param {string} [digits]
   */
  async answerApproval(approval_id, digits = undefined) {
    await this.post("/login/approval/answer", { approval_id, ...(digits === undefined ? { refuse: true } : { digits }) });
    (await this._watcher)?.answered(approval_id);
  }

  /**
   * Let a person be asked for a code of a second factor; null is a no, and the call throws `otp-required`.
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
      this._watcher?.then((watcher) => watcher.stop(), () => {});
      tell(ending);
    };
  }

  /**
   * Be told that another tab of this browser has logged in.
   * @param {() => void} tell
   */
  onSessionBegun(tell) {
    this._session.onBegun = () => {
      this._watch();
      tell();
    };
  }

  /** Take up the session that this browser has; say whether there is one. */
  async resume() {
    const found = await this._session.resume();
    if (found) this._watch();
    return found;
  }

  /**
   * Make an account with this browser as its first device.
   * @param {{username: string, email: string, password: string, device_name?: string}} fields
   */
  async register(fields) {
    return this._endpoints.enrol(fields);
  }

  /**
   * Make this browser another device of an account, by the code that one of its devices shows: the text itself, or the
   * link that ends with it.
   * @param {{qr_code: string, username: string, password: string, device_name?: string}} fields
   */
  async pair({ qr_code, ...fields }) {
    return this._endpoints.enrol({ ...fields, qr_code: codeIn(qr_code) });
  }

  /**
   * Become a device again with a `new_password`: by `recovery_code` and `password`, or by the `token` of a mail.
   * @param {Record<string, any>} fields
   */
  async recover(fields) {
    return this._endpoints.enrol(fields, `/registration/${fields.token ? "password/reset" : "recover"}`);
  }

  /** POST as nobody. @param {string} path @param {object} body */
  async send(path, body) {
    return this._wire.post(path, body);
  }

  /** Change the password of who is logged in. @param {{password: string, new_password: string}} fields */
  async changePassword(fields) {
    return (await import("./client/password.js")).changePassword(this._session, this._wire, fields);
  }

  /** Give the account of who is logged in another name. @param {{username: string, password: string}} fields */
  async rename(fields) {
    return (await import("./client/password.js")).rename(this._session, this._wire, this._devices, fields);
  }

  /**
   * Ask for a code by which another device joins. This browser's device answers for it.
   * @param {{username?: string, password: string}} fields the username of the session where none is given
   */
  async pairingCode({ username = this.session?.username, password }) {
    const body = { username, password, client_cert_fp: latest() };
    return this._endpoints.pairingCode(body, await this._devices.having(latest()));
  }

  /**
   * Log in; null when the person was asked and would rather not. Nothing has changed then. Throws Problem.
   * @param {{username: string, password: string, fingerprint?: string}} fields a certificate's fingerprint, where it is
   *   not the one that this browser remembers
   */
  async logIn({ username, password, fingerprint }) {
    const own = fingerprint ? undefined : await this._devices.of(username);
    const device = own ?? (await this._devices.having(fingerprint ?? latest())); // renamed elsewhere, perhaps
    const certificate = fingerprint ?? device?.fingerprint ?? latest();
    const token = certificate ? undefined : await this._devices.tokenOf(username);
    const body = { username, password, client_cert_fp: certificate || undefined, device_token: token };
    const answer = await this._endpoints.enter(body, device, this._ask);
    if (answer === null) return null;
    if (certificate) setLatest(certificate);
    if (device && !own && device.user_uuid === answer.user_uuid) await this._devices.rename(device.username, username);
    if (answer.device_token) await this._devices.keepToken(username, answer.device_token);
    await this._session.begin(username, answer);
    this._watch();
    return answer;
  }

  /** Join without the password, by the digits of `onDigits`; null is a no. @param {{username: string}} fields */
  async joinByApproval(fields) {
    const { joinByApproval } = await import("./client/joining.js");
    return this._entered(await joinByApproval(this._wire, this._devices, this._endpoints, this._ask, fields));
  }

  /** Say whether this browser, at this address, can sign in by passkeys. */
  hasPasskeys() {
    return Boolean(globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON);
  }

  /**
   * Log in by a passkey; an empty browser becomes a device. Null is a no to the question. Throws Problem, and what
   * `navigator.credentials.get` throws.
   * @param {CredentialRequestOptions} [options] such as `{mediation: "conditional", signal}`
   */
  async logInByPasskey(options = {}) {
    const { enterByPasskey } = await import("./client/passkey.js");
    return this._entered(await enterByPasskey(this._wire, this._devices, this._endpoints, this._ask, options));
  }

  async _entered(entered) {
    if (entered === null) return null;
    await this._session.begin(entered.username, entered.answer);
    this._watch();
    return entered.answer;
  }

  /**
   * Make a passkey for who is logged in. Throws Problem, and what `navigator.credentials.create` throws.
   * @param {{password: string, name?: string}} fields
   */
  async makePasskey({ password, name }) {
    const { createPasskey } = await import("./client/passkey.js");
    const { options } = await this.post("/registration/passkeys/begin", { password });
    return this.post("/registration/passkeys/finish", { passkey: await createPasskey(options), name });
  }

  /** Remove a passkey. @param {string} id @param {{password: string}} fields */
  async removePasskey(id, fields) {
    const send = (body) => this.fetch(`/registration/passkeys/${id}`, { ...posting(body), method: "DELETE" });
    return this._wire.withCode(fields, async (body) => answerOf(await send(body)));
  }

  /** Log out, here and in every tab. */
  async logOut() {
    const access = await this._session.access();
    await this._wire.post("/session/logout", {}, access);
    await this._session.end({ reason: "logged-out" });
  }

  /**
   * Run what ends the session here and in every tab, unless `work` returns false. Returns and throws what `work` does.
   * @param {string} reason
   * @param {() => Promise<unknown>} [work]
   */
  async leave(reason, work = async () => true) {
    return this._session.endBy({ reason, here: true }, work);
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

  /** Watch the session that has begun. Where the module cannot be had now, it is asked for with the next session. */
  _watch() {
    if (this._watchedAs === null) return;
    this._watcher ??= import("./client/watch.js").then(
      ({ Watcher }) =>
        new Watcher(this._session, this._watchedAs, {
          open: (signal) => this._events(signal),
          check: () => this.check(),
          asked: () => this._asked(),
          ask: (asked, signal) => this._askApproval?.(asked, signal),
        }),
    );
    this._watcher.then(
      (watcher) => this.session && watcher.start(),
      () => (this._watcher = null),
    );
  }

  /** What the suite tells of itself, asked for once. */
  _about() {
    this._known ??= this._wire.get("/.well-known/ichidai.json").catch((problem) => {
      this._known = null;
      throw problem;
    });
    return this._known;
  }

  /** Return what the person is asked now, where the suite asks. */
  async _asked() {
    const { takeover_approval, join_by_approval } = await this._about();
    return takeover_approval === "ask" || join_by_approval ? (await this.get("/login/approvals")).approvals : [];
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
