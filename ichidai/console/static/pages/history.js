/** History: what happened to the account, newest first. */
import { ichidai } from "../suite.js";
import { onEnter } from "../router.js";
import { fillList, part, say, text, timeText } from "../views.js";
import { signed } from "./account.js";
import { askToObject } from "./dialogs.js";
import { originOf } from "./origins.js";

const PAGE = 20;

export function mount(root) {
  let events = [];
  let before = null;
  const load = async () => {
    const page = await ichidai.get(`/session/history?limit=${PAGE}${before ? `&before=${before}` : ""}`);
    const failed = page.failed_logins.map((attempt) => ({ ...attempt, kind: "login-failed", device_name: null }));
    events = [...events, ...page.events, ...failed].sort((one, other) => other.at.localeCompare(one.at));
    before = page.next_before ?? null;
    display(root, events, refresh);
    part(root, "more").hidden = before === null;
  };
  const refresh = async () => {
    events = [];
    before = null;
    await load();
  };
  part(root, "more").addEventListener("click", () => signed(root, load));
  onEnter("history", () => {
    say(root, null);
    signed(root, refresh);
  });
}

const OBJECTABLE = [
  ...["login", "device-added", "password-changed", "email-changed", "username-changed", "otp-enabled", "otp-disabled"],
  ...["account-closed", "account-reopened", "passkey-added", "passkey-removed", "recovery-codes-renewed", "recovery-code-used"],
];
const WEEK = 7 * 24 * 3600 * 1000;

/** The newest event of a change that may still be taken back; a registration may not, nor what took others back. */
function isObjectable(event, events) {
  const isFinal = (each) => each.change_no === event.change_no && ["registered", "objected"].includes(each.kind);
  return OBJECTABLE.includes(event.kind) && !events.some(isFinal) && Date.now() - new Date(event.at) < WEEK;
}

function display(root, events, refresh) {
  const rows = events.map((event) => ({
    ...event,
    what: text(`event_${event.kind}`) ?? event.kind,
    why: event.reason ? (text(`why_${event.reason}`) ?? event.reason) : "",
    from: originOf(event),
  }));
  fillList(root, "list", rows, (row, event) => {
    part(row, "device").hidden = !event.device_name;
    part(row, "why").hidden = !event.why;
    part(row, "from").hidden = !event.from;
    if (!isObjectable(event, events)) return;
    part(row, "not_me").hidden = false;
    const button = part(row, "object");
    button.setAttribute("aria-label", `${button.textContent}: ${event.what} (${timeText(event.at)})`);
    button.addEventListener("click", () =>
      signed(root, async () => {
        if (!(await askToObject(event))) return;
        await refresh();
        say(root, text("not_me_done"));
        root.querySelector("h1").focus();
      }),
    );
  });
}
