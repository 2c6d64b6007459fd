/** Which device this browser is: the fingerprint of its certificate, which is no secret and opens nothing alone. */
const NAME = "currentlyLoggedinFingerprint";

/** Return the fingerprint this browser remembers, or "". */
export function remembered() {
  try {
    return localStorage.getItem(NAME) ?? "";
  } catch {
    return "";
  }
}

/** Remember a fingerprint, where the browser lets us. */
export function remember(fingerprint) {
  try {
    localStorage.setItem(NAME, fingerprint);
  } catch {
    // The person pastes it then.
  }
}

/** Return a fingerprint as people paste it in the form the server takes: lower case, without colons and spaces. */
export const tidied = (fingerprint) => fingerprint.replace(/[\s:]/g, "").toLowerCase();
