/**
 * Proof of work (ALTCHA, version 2): the smallest counter whose PBKDF2 key begins with a prefix. About a second of a core.
 */

/**
 * Return the solution of a challenge as the server wants it.
 * @param {{parameters: Record<string, any>, signature: string}} challenge
 * @returns {Promise<string>} base64
 */
export async function solve({ parameters, signature }) {
  const nonce = bytes(parameters.nonce);
  const rule = { name: "PBKDF2", hash: "SHA-256", salt: bytes(parameters.salt), iterations: parameters.cost };
  const password = new Uint8Array(nonce.length + 4);
  password.set(nonce);
  for (let counter = 0; ; counter += 1) {
    new DataView(password.buffer).setUint32(nonce.length, counter);
    const key = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
    const derivedKey = hex(await crypto.subtle.deriveBits(rule, key, parameters.keyLength * 8));
    if (derivedKey.startsWith(parameters.keyPrefix)) {
      return btoa(JSON.stringify({ challenge: { parameters, signature }, solution: { counter, derivedKey } }));
    }
  }
}

const bytes = (text) => Uint8Array.from(text.match(/../g), (pair) => parseInt(pair, 16));

const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
