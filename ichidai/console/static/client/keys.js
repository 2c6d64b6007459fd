/**
 * A device's own key: ECDSA on P-256, made here, usable here, and readable by nobody. By it the device proves that it is
 * itself; the statements are those of the wire contract, "Proofs".
 */
const CURVE = { name: "ECDSA", namedCurve: "P-256" };
const HASH = { name: "ECDSA", hash: "SHA-256" };
const VERSION = "ichidai-proof-v1";
const NOTHING = "-";

/**
 * @typedef {{purpose: string, issuer: string, user_uuid?: string, device_id?: string, challenge: string, token?: string}}
 *   Statement what is signed; `token` is the token acted on
 */

/** Make a key pair. The private half cannot be taken out. @returns {Promise<CryptoKeyPair>} */
export const makeKeys = () => crypto.subtle.generateKey(CURVE, false, ["sign"]);

/** Return the public key as the wire has it: base64 of its SPKI. @param {CryptoKeyPair} keys */
export async function publicKey(keys) {
  return base64(await crypto.subtle.exportKey("spki", keys.publicKey));
}

/**
 * Sign a statement; base64 of the raw r‖s.
 * @param {CryptoKeyPair} keys
 * @param {Statement} statement
 */
export async function sign(keys, { purpose, issuer, user_uuid, device_id, challenge, token }) {
  const digest = token ? await sha256(token) : NOTHING;
  const lines = [VERSION, purpose, issuer, user_uuid ?? NOTHING, device_id ?? NOTHING, challenge, digest];
  return base64(await crypto.subtle.sign(HASH, keys.privateKey, utf8(lines.join("\n"))));
}

/** Return the code in what a QR code holds: the code itself, or a link whose fragment ends with it. */
export const codeIn = (text) => text.trim().split("#").pop().replace(/^join=/, "");

/** Return the pairing token inside a QR code's text; undefined where it is no such text: the server says so. */
export function tokenIn(qr_code) {
  try {
    return JSON.parse(atob(qr_code.replaceAll("-", "+").replaceAll("_", "/"))).token;
  } catch {
    return undefined;
  }
}

async function sha256(text) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(text)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const utf8 = (text) => new TextEncoder().encode(text);
const base64 = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)));
