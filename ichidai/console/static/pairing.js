/** Showing a code by which another device joins, until it expires. */
import { fill, part, say, text } from "./views.js";

let expiry;

/**
 * Show a pairing code in a view.
 * @param {HTMLElement} root
 * @param {{qr_code: string, qr_png: string, expires_at: string}} code
 */
export function showPairing(root, code) {
  const figure = part(root, "pairing");
  fill(figure, code);
  part(figure, "qr").src = code.qr_png;
  part(figure, "qr_text").value = code.qr_code;
  const copy = part(figure, "copy");
  copy.hidden = !navigator.clipboard;
  copy.onclick = async () => {
    await navigator.clipboard.writeText(code.qr_code);
    say(root, text("copied"));
  };
  figure.hidden = false;
  clearTimeout(expiry);
  expiry = setTimeout(() => {
    hidePairing(root);
    say(root, text("pairing_over"));
  }, Math.max(0, new Date(code.expires_at) - Date.now()));
}

/** Take the code out of the view. */
export function hidePairing(root) {
  clearTimeout(expiry);
  const figure = part(root, "pairing");
  figure.hidden = true;
  part(figure, "qr").removeAttribute("src");
  part(figure, "qr_text").value = "";
}
