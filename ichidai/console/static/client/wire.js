/**
 * Speaking with the suite: JSON in and out, and every failure as a Problem.
 * No token is ever part of an address, and no cookie is sent or kept.
 */

/** A refusal of the server (`code` and `document` as its problem document has them), or no answer at all (status 0). */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {Record<string, any>} document
   */
  constructor(status, document) {
    super(document.detail);
    this.name = "Problem";
    this.status = status;
    this.code = document.code;
    this.document = document;
  }
}

const CODE_WANTED = ["otp-required", "otp-invalid"];

/** How one suite is reached, and in which language its sentences are wanted. */
export class Wire {
  /**
   * @param {string} base "" for the page's own origin
   * @param {string} language "en" or "ja"
   * @param {Record<string, string>} apps addresses of the apps that have their own, by the first part of their paths
   */
  constructor(base, language, apps = {}) {
    this.base = base;
    this.language = language;
    this.apps = apps;
    /** @type {((asked: {again: boolean}) => Promise<string | null>) | null} asks for a code of the second factor */
    this.askForCode = null;
  }

  /**
   * Send a request as it is, whatever the answer. Throws a Problem `unreachable` where none comes.
   * @param {string} path
   * @param {RequestInit} [init]
   * @param {string} [token] an access token
   * @returns {Promise<Response>}
   */
  async send(path, init = {}, token = undefined) {
    const headers = new Headers(init.headers);
    if (!headers.has("Accept-Language")) headers.set("Accept-Language", this.language);
    if (token) headers.set("Authorization", `Bearer ${token}`);
    const sure = { cache: "no-store", credentials: "omit", redirect: "error" };
    try {
      return await fetch(this._address(path), { ...init, ...sure, headers });
    } catch (failure) {
      if (init.signal?.aborted) throw failure;
      throw new Problem(0, { code: "unreachable", detail: "The server cannot be reached." });
    }
  }

  /** Where a path of the suite is. What no app is named by is the session manager's. */
  _address(path) {
    const app = path.split("/")[1].split("?")[0];
    return (this.apps[app === ".well-known" ? "session" : app] ?? this.base) + path;
  }

  /**
   * POST a JSON body and return the answer. Throws Problem.
   * @param {string} path
   * @param {object} [body]
   * @param {string} [token]
   */
  async post(path, body = {}, token = undefined) {
    return this.withCode(body, async (whole) => answerOf(await this.send(path, posting(whole), token)));
  }

  /**
   * Send a body. Where the password in it is not enough, a code is asked for and sent with it, until one is right or
   * nobody gives one. Throws Problem.
   * @template T
   * @param {object} body
   * @param {(body: object) => Promise<T>} send
   * @returns {Promise<T>}
   */
  async withCode(body, send) {
    try {
      return await send(body);
    } catch (problem) {
      const isAsked = CODE_WANTED.includes(problem.code) && "password" in body && this.askForCode;
      const otp = isAsked && (await this.askForCode({ again: "otp" in body }));
      if (!otp) throw problem;
      return this.withCode({ ...body, otp }, send);
    }
  }

  /**
   * GET an answer. Throws Problem.
   * @param {string} path
   * @param {string} [token]
   */
  async get(path, token = undefined) {
    return answerOf(await this.send(path, {}, token));
  }
}

/**
 * What makes a request a POST of a JSON body.
 * @param {object} body
 * @returns {RequestInit}
 */
export const posting = (body) => ({
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

/**
 * Return the answer of a response. Throws Problem for a refusal, and for what is no JSON.
 * @param {Response} response
 * @returns {Promise<Record<string, any>>}
 */
export async function answerOf(response) {
  const answer = await response.json().catch(() => {
    throw new Problem(response.status, { code: "unreadable", detail: "The answer cannot be read." });
  });
  if (!response.ok) throw new Problem(response.status, answer);
  return answer;
}
