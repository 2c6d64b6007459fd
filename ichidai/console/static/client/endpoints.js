/**
 * The suite's endpoints that may ask a device to prove its identity: a device with a key of its own signs
 * what it is asked to sign, one whose key the server made is named by its certificate.
 */
import { makeKeys, publicKey, sign, tokenIn } from "./keys.js";

export class Endpoints {
  /**
   * @param {import("./wire.js").Wire} wire
   * @param {import("./devices.js").Devices} devices
   * @param {() => Promise<string>} issuer
   */
  constructor(wire, devices, issuer) {
    this._wire = wire;
    this._devices = devices;
    this._issuer = issuer;
    /** @type {((waiting: {digits: string, expires_in: number}, signal: AbortSignal) => Promise<unknown>) | null} */
    this.showDigits = null;
  }

  /** Register this browser with a key of its own; where it can keep none, the server makes the keys. */
  async enrol(fields, path = "/registration/") {
    const keys = (await this._devices.canKeepKeys()) ? await makeKeys() : undefined;
    const answer = await this._registered(path, { ...fields, ...(keys && (await this.ownKeys(keys, fields))) });
    await this._devices.remember(fields.username, answer, keys);
    return answer;
  }

  /** Send a registration; where work is asked for it is done unseen, if the browser can. */
  async _registered(path, body) {
    try {
      return await this._wire.post(path, body);
    } catch (problem) {
      if (problem.code !== "work-required" || "work" in body || !globalThis.crypto?.subtle) throw problem;
      const { solve } = await import("./work.js");
      return this._registered(path, { ...body, work: await solve(problem.document.challenge) });
    }
  }

  async ownKeys(keys, { username, qr_code, token }) {
    const issuer = await this._issuer();
    const statement = { purpose: "enrol", issuer, challenge: token ?? username, token: qr_code && tokenIn(qr_code) };
    return { public_keys: { signing: await publicKey(keys) }, proof: { signature: await sign(keys, statement) } };
  }

  /** Ask for a code by which another device joins. */
  async pairingCode(body, device) {
    const proof = device?.keys && { proof: await this._answered(device, body, "pair-issue") };
    return this._wire.post("/registration/request_pairing_token", { ...body, ...proof });
  }

  /**
   * Log in; null when the person was asked and would rather not. Throws Problem.
   * @param {object} body what a login without a key sends
   * @param {import("./devices.js").Device | undefined} device
   * @param {((question: import("../ichidai.js").Question) => Promise<boolean>) | null} ask
   * @param {string} path where a login without a key goes
   */
  async enter(body, device, ask, path = "/login") {
    const open = async () =>
      device?.keys
        ? this._wire.post("/login/verify", await this._answered(device, body, "login"))
        : this._wire.post(path, body);
    return this._asked(open, body, device, ask);
  }

  /**
   * Become a device by a passkey and be logged in; null when the person was asked and would rather not. The answer has
   * the `keys` that were made here. Throws Problem.
   */
  async joinByPasskey(passkey, ask) {
    const keys = (await this._devices.canKeepKeys()) ? await makeKeys() : undefined;
    const join = async (shown, username) => {
      const own = keys && (await this.ownKeys(keys, { username }));
      return { ...(await this._wire.post("/login/passkey/finish", { ...shown, ...own })), keys };
    };
    for (let next = () => join({ passkey }, passkey.id); ; ) {
      try {
        return await next();
      } catch (problem) {
        const takeover = await this.consented(problem, ask);
        if (!takeover) return null;
        next = () => join({ takeover_token: takeover.token }, takeover.token);
      }
    }
  }

  /** Ask as long as a session is live that was not shown yet. The consent ends exactly the sessions that were shown. */
  async _asked(call, body, device, ask) {
    try {
      return await call();
    } catch (problem) {
      const takeover = await this.consented(problem, ask);
      if (!takeover) return null;
      return this._asked(() => this._takenOver(takeover, body, device), body, device, ask);
    }
  }

  /** Return the takeover that is consented to here, after the active devices' users where they are asked; else null. */
  async consented(problem, ask) {
    if (problem.code !== "device-active" || !ask) throw problem;
    const { approval, takeover = null } = problem.document;
    if (!approval) return (await ask(problem.document)) ? takeover : null;
    if (!this.showDigits) throw problem;
    const { approved } = await import("./approval.js");
    return approved(this._wire, problem.document, ask, this.showDigits);
  }

  /** Send a consent. Its challenge may have run out while the person decided; then another one is asked for. */
  async _takenOver({ token, challenge }, body, device) {
    const consent = { takeover_token: token, client_cert_fp: body.client_cert_fp };
    if (!device?.keys) return this._wire.post("/login/takeover", consent);
    try {
      const proof = await this._proof(device, "takeover", challenge, token);
      return await this._wire.post("/login/takeover", { ...consent, proof });
    } catch (problem) {
      if (problem.code !== "challenge-spent") throw problem;
      const proof = await this._answered(device, body, "takeover", token);
      return this._wire.post("/login/takeover", { ...consent, proof });
    }
  }

  /** Ask what the device must sign, and sign it. */
  async _answered(device, body, purpose, token = undefined) {
    return this._proof(device, purpose, await this._wire.post("/login/challenge", { ...body, purpose }), token);
  }

  async _proof({ keys, user_uuid, device_id }, purpose, { challenge_id, challenge, issuer }, token = undefined) {
    const signature = await sign(keys, { purpose, issuer, user_uuid, device_id, challenge, token });
    return { challenge_id, signature };
  }
}
