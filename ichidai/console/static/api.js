/**
 * Speaking with the suite: JSON in and out, and every failure as a Problem.
 * No token is ever part of an address, and no cookie is sent or kept.
 */
import { text } from "./views.js";

/** A refusal of the server (`code` and `detail` as its problem document has them), or no answer at all (status 0). */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {Record<string, any>} document
   */
  constructor(status, document) {
    super(document.detail);
    this.status = status;
    this.code = document.code;
    this.document = document;
  }
}

/**
 * @param {string} path
 * @param {string} [token]
 * @returns {Promise<Record<string, any>>}
 */
export const get = (path, token) => call(path, { method: "GET", headers: headers(token) });

/**
 * @param {string} path
 * @param {Record<string, unknown>} [body]
 * @param {string} [token]
 * @returns {Promise<Record<string, any>>}
 */
export const post = (path, body = {}, token = undefined) =>
  call(path, {
    method: "POST",
    headers: { ...headers(token), "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

function headers(token) {
  const language = { "Accept-Language": document.documentElement.lang };
  return token ? { ...language, Authorization: `Bearer ${token}` } : language;
}

async function call(path, request) {
  const response = await fetch(path, { ...request, cache: "no-store", credentials: "omit", redirect: "error" }).catch(
    () => {
      throw new Problem(0, { code: "unreachable", detail: text("unreachable") });
    },
  );
  const answer = await response.json().catch(() => {
    throw new Problem(response.status, { code: "unreadable", detail: text("unreadable") });
  });
  if (!response.ok) throw new Problem(response.status, answer);
  return answer;
}
