/** The account: what it is, another password, recovery codes, and signing out everywhere. */
import { ichidai } from "../suite.js";
import { onEnter } from "../router.js";
import { adopt, fill, part, say, text } from "../views.js";
import { signed } from "./account.js";
import { askToClose } from "./dialogs.js";
import { makeCodes, told } from "./factor.js";
import { fetched } from "./fetching.js";

/** Fetch the views and dialogs which are not among those that every page has. */
export async function prepare() {
  for (const element of await fetched("account")) {
    if (element.dataset.view) adopt(element);
    else document.querySelector("#dialogs").content.append(element);
  }
}

export function mount(root) {
  const refresh = async () => {
    const account = await ichidai.get("/registration/account");
    fill(part(root, "facts"), account);
    offerToConfirm(root, account);
    if (!ichidai.hasPasskeys()) return;
    const { list } = await import("./passkeys.js");
    await list(root);
  };
  onEnter("security", () => {
    say(root, null);
    for (const form of root.querySelectorAll("form")) reset(form);
    signed(root, refresh);
  });
  onSend(root, "password", refresh, async ({ password, new_password }) => {
    await told(ichidai.changePassword({ password: password.value, new_password: new_password.value }));
    return "changed";
  });
  onSend(root, "username", refresh, async ({ new_username, password }) => {
    await told(ichidai.rename({ username: new_username.value.trim(), password: password.value }));
    return "renamed";
  });
  if (part(root, "email")) {
    onSend(root, "email", refresh, async ({ email, password }) => {
      await told(ichidai.post("/registration/email", { email: email.value.trim(), password: password.value }));
      return "sent";
    });
  }
  onSend(root, "new_passkey", refresh, async ({ password }) => {
    await told(ichidai.makePasskey({ password: password.value }));
    return "passkey_made";
  });
  onSend(root, "codes", refresh, async ({ password }) => {
    await makeCodes(password.value);
    return "made";
  });
  part(root, "export").addEventListener("click", () => signed(root, download));
  part(root, "close").addEventListener("click", () => signed(root, askToClose));
  onSend(root, "everywhere", refresh, async ({ password, this_session }) => {
    const body = { password: password.value, this_session: this_session.checked };
    const end = () => told(ichidai.post("/session/end-all", body));
    await (body.this_session ? ichidai.leave("logged-out", end) : end());
    return body.this_session ? null : "out";
  });
}

/** Say that an address is not confirmed, and have it ready in its field: the link that confirms it is sent anew from there. */
function offerToConfirm(root, { email, email_confirmed }) {
  const form = part(root, "email");
  if (!form) return;
  part(root, "unconfirmed").hidden = email_confirmed || !email;
  form.elements.email.defaultValue = email_confirmed ? "" : (email ?? "");
}

/** Hand all that is kept about the account to the browser, as a file. */
async function download() {
  const answer = await ichidai.get("/registration/export");
  const file = new Blob([JSON.stringify(answer.export, null, 2)], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = "ichidai-account.json";
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Let a form do something for the person who is logged in, and say what was done. */
function onSend(root, name, refresh, work) {
  const form = part(root, name);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    signed(root, async () => {
      const done = await work(form.elements);
      reset(form);
      if (!done || !ichidai.session) return;
      await refresh();
      say(root, part(root, "said").content.querySelector(`[data-text="${done}"]`).textContent);
      root.querySelector("h1").focus();
    }, form);
  });
}

function reset(form) {
  form.reset();
  form.elements.username.value = ichidai.session?.username ?? "";
}
