/** The passkeys of the account: listed, and removed by the password that stands in the form for a new one. */
import { ichidai } from "../suite.js";
import { fillList, part, say } from "../views.js";
import { signed } from "./account.js";
import { told } from "./factor.js";

/** Show the passkeys of who is logged in. */
export async function list(root) {
  const { passkeys } = await ichidai.get("/registration/passkeys");
  part(root, "passkeys_card").hidden = false;
  fillList(root, "passkeys", passkeys, (row, { id, name }) => {
    const button = part(row, "remove");
    button.setAttribute("aria-label", `${button.textContent}: ${name}`);
    button.onclick = () => signed(root, () => remove(root, id), part(root, "new_passkey"));
  });
}

async function remove(root, id) {
  const field = part(root, "new_passkey").elements.password;
  if (!field.reportValidity()) return;
  await told(ichidai.removePasskey(id, { password: field.value }));
  field.value = "";
  await list(root);
  say(root, part(root, "said").content.querySelector('[data-text="passkey_removed"]').textContent);
}
