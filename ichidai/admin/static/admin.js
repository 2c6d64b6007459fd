/**
 * The admin page: find an account, see devices, sessions and history, act; list accounts, read the audit log.
 * Texts stand in the page.
 */
import { mountLists } from "./lists.js";
import { ask, attempt, call, fill, paged, part, smallButton, text, time, useKey } from "./view.js";

const ROLES = ["read", "support", "owner"];
const [entrance, inside, account, sure] = ["entrance", "inside", "account", "sure"].map((name) => part(name));

let role = "read";
let shown = null;

const may = (needed) => ROLES.indexOf(role) >= ROLES.indexOf(needed);
const deviceName = (device) => device.device_name ?? text("unknown_device");

const history = paged(account, "history", async (before) => historyPage(await ask("/admin/history", { uuid: shown.uuid, before })));

function historyPage(page) {
  const rows = page.history.map((each) => [time(each.at), told(each), each.device_id ? deviceName(each) : "–", each.ip]);
  return { rows, next: page.next_before };
}

/** Show one account as it is now. */
async function show(uuid) {
  const facts = await ask("/admin/account", { uuid });
  shown = facts.account;
  part("name", account).textContent = shown.username;
  for (const name of ["uuid", "email"]) part(name, account).textContent = shown[name];
  part("state", account).textContent = text(`state_${shown.state}`);
  part("created_at", account).textContent = time(shown.created_at);
  part("second_factor", account).textContent = text(facts.second_factor ? "on" : "off");
  for (const button of account.querySelectorAll("[data-part=acts] button")) {
    const { act } = button.dataset;
    const fits = {
      disable: shown.state !== "disabled",
      enable: shown.state === "disabled",
      close: !facts.closed_until,
      "reset-otp": facts.second_factor,
    };
    button.hidden = !may(button.dataset.role) || fits[act] === false;
  }
  part("acts", account).hidden = !may("support");
  fill(account, "sessions", facts.sessions.map((each) => [deviceName(each), time(each.login_at), time(each.last_seen_at)]));
  fill(
    account,
    "devices",
    facts.devices.map((each) => {
      const live = each.bound && !each.revoked_at;
      const state = text(live ? "bound" : "revoked");
      return [deviceName(each), time(each.registered_at), state, live && may("support") ? unbinding(each) : "–"];
    }),
  );
  history.show(historyPage(facts));
  account.hidden = false;
  part("told", account).hidden = true;
  part("notice", account).hidden = true;
}

/** Show one account, and lead there. */
async function open(uuid) {
  await show(uuid);
  part("name", account).focus();
}

function unbinding(device) {
  const title = `${text("act_unbind")}: ${deviceName(device)}`;
  return smallButton(text("act_unbind"), () => askWhy("unbind", title, device), title);
}

function told(event) {
  const by = event.act && text("by_operator", event);
  return [event.kind, event.reason, by].filter(Boolean).join(" · ");
}

/** Ask for the reason of an act, and do it; the dialog stays open while it is refused. */
function askWhy(act, title, device = null) {
  const form = sure.querySelector("form");
  part("sure_title").textContent = title;
  part("do").textContent = title;
  part("sure_text").textContent = text(`sure_${act}`);
  part("notice", form).hidden = true;
  form.reset();
  form.elements.reason.required = true;
  form.onsubmit = async (submitted) => {
    if (submitted.submitter?.value !== "do") return;
    submitted.preventDefault();
    const body = { uuid: shown.uuid, reason: form.elements.reason.value };
    if (device) body.device_id = device.device_id;
    let done = null;
    if (!(await attempt(form, async () => (done = await call(`/admin/${act}`, body))))) return;
    sure.close();
    await show(shown.uuid);
    const words = [done.changed ? text("done", done) : text("unchanged")];
    if (done.password) words.push(text("password", done));
    part("told", account).textContent = words.join(" ");
    part("told", account).hidden = false;
    part("name", account).focus();
  };
  sure.showModal();
}

function enter(about) {
  role = about.role;
  part("role").textContent = text("role", about);
  for (const name of ["role", "leave"]) part(name).hidden = false;
  entrance.hidden = true;
  inside.hidden = false;
  document.querySelector("#find_title").focus();
}

entrance.querySelector("form").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const form = submitted.target;
  attempt(form, async () => {
    useKey(form.elements.key.value.trim());
    const about = await ask("/admin/key");
    form.reset();
    enter(about);
  });
});

part("find_form").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const form = submitted.target;
  attempt(form, async () => {
    const { accounts } = await ask("/admin/accounts", { who: form.elements.who.value });
    account.hidden = true;
    part("nobody").hidden = accounts.length > 0;
    part("found").hidden = accounts.length < 2;
    part("found").replaceChildren(
      ...accounts.map((each) => {
        const line = document.createElement("li");
        line.append(smallButton(`${each.username} · ${each.email}`, () => attempt(form, () => open(each.uuid))));
        return line;
      }),
    );
    if (accounts.length === 1) await open(accounts[0].uuid);
  });
});

mountLists(open);
for (const button of account.querySelectorAll("[data-part=acts] button")) {
  button.addEventListener("click", () => askWhy(button.dataset.act, button.textContent));
}
part("leave").addEventListener("click", () => location.reload());
part("language").addEventListener("click", ({ currentTarget }) => {
  document.cookie = `ichidai_language=${currentTarget.dataset.language}; path=/; max-age=31536000; samesite=lax`;
  location.reload();
});
